"""Structures of releases: the units that were removed for one, or its student, as a record that is kept with its run.

With `keep_structure`, the next version takes on the structure of what is deployed. A record holds names and whole
numbers alone, so that another machine can read it years later.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt, ValidationError
from torch import nn

from deployments.rungs import Rung
from deployments.techniques import Prune
from deployments.yaml_file import stated
from edge_runtime.files import sha256_of
from model_compression.families import save_program
from model_compression.intake import graph_digest, weight_shapes
from model_compression.pruning import WEIGHTS, History
from tasks.compression.float_models import LOADING, PROGRAM, Snapshot, UpdatedFamily
from tasks.compression.students import Student
from tasks.errors import RegistryError
from tasks.families import FamilyRecord
from tasks.registry import EdgeVersion, Upstream
from tasks.store import digest_of
from tasks.upstream import Context, DeviceContext, TorchParent

logger = logging.getLogger("edgewright")
STRUCTURE = "structure.json"
WEIGHTS_FOLDER = "structure"
"""Folder of a run that has the float weights which a release was made of."""
BOUNDS = frozenset({"units", "at_most", "round_to", "vocabulary"})
"""Keys of a recipe's `prune` that say which structures it allows; the others say how one is found."""
Shapes = Mapping[str, tuple[NonNegativeInt, ...]]
Indices = Mapping[str, tuple[NonNegativeInt, ...]]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class KeptTokens(_Record):
    """Tables of tokens after they were cut: the tokens that each kept, and the one whose row all others share."""

    unknown: NonNegativeInt
    tables: Indices


class RemovedUnits(_Record):
    """Units that a round removed: layers by name, heads and channels by layer and index before the round."""

    vocabulary: KeptTokens | None = None
    layers: tuple[str, ...] = ()
    heads: Indices = {}
    channels: Indices = {}


class StudentShape(_Record):
    """The architecture of a student."""

    family: str
    width: PositiveInt
    depth: PositiveInt


class ParentForm(_Record):
    """The form of a parent: the shapes of its weights by name, and the digest of its graph."""

    shapes: Shapes
    graph: str

    @classmethod
    def of(cls, parent: TorchParent) -> "ParentForm":
        """Return the form of a parent's program."""
        return cls(shapes=weight_shapes(parent.exported), graph=graph_digest(parent.exported))

    def difference(self, other: "ParentForm") -> str:
        """Return in words one thing in which another parent differs; empty where both have one form."""
        for name in (*self.shapes, *(name for name in other.shapes if name not in self.shapes)):
            before, now = (_size(form.shapes.get(name)) for form in (self, other))
            if before != now:
                return f"{name} was {before} and is {now}"
        return "" if self.graph == other.graph else "its weights have the same shapes, and its operators are others"


class FamilyParts(_Record):
    """The origin of the parts of a family's release: the digest of the backbone, and a member for each head.

    `heads` are the identities of the members' versions by task, in the order of the heads. `profile` is the digest of
    the device's profile, `program` the sha256 of the float model as a program, which is kept with the run.
    """

    backbone: str
    heads: Mapping[str, str]
    profile: str
    program: str


class ReleaseStructure(_Record):
    """The structure of a release: what was removed from its parent in each round, or the student in its place.

    `shapes` are those of the float model that its file was made of, by which a replay is checked. `rung` made the file.
    `bounds` are the keys of the recipe's `prune` that bounded the structure. `weights` is the sha256 of the float
    weights, where they are kept with the run. `family` is known of a family that was composed of registered members.
    """

    form: Literal[1] = 1
    parent: ParentForm
    rung: Mapping[str, Any]
    shapes: Shapes
    bounds: Mapping[str, Any] = {}
    removed: tuple[RemovedUnits, ...] = ()
    student: StudentShape | None = None
    weights: str | None = None
    family: FamilyParts | None = None

    @property
    def history(self) -> History:
        """The removed units, round by round, as they are replayed."""
        return [units.model_dump(mode="json", exclude_defaults=True) for units in self.removed]


def bounds_of(prune: Prune) -> dict[str, Any]:
    """Return the keys of `prune` that say which structures it allows, without those at their defaults."""
    return {name: value for name, value in stated(prune).items() if name in BOUNDS}


def shapes_of(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a module's parameters and persistent buffers, by their names."""
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def structure_of(
    context: Context, model: Snapshot | Student, rung: Rung, family: FamilyParts | None = None
) -> ReleaseStructure | None:
    """Return the structure of a float model that a rung made a file of; None for an ONNX upstream, which has all."""
    if not context.trainable:
        return None
    parent, weights = context.torch_parent, weights_of(context, model)
    made = {
        "parent": ParentForm.of(parent),
        "rung": stated(rung),
        "shapes": shapes_of(model.load(parent)),
        "weights": None if weights is None else sha256_of(weights),
        "family": family,
    }
    if isinstance(model, Student):
        shape = model.architecture
        return ReleaseStructure(**made, student=StudentShape(family=shape.family, width=shape.width, depth=shape.depth))
    removed = tuple(RemovedUnits.model_validate(units) for units in model.history)
    return ReleaseStructure(**made, removed=removed, bounds=bounds_of(context.job.recipe.prune))


def weights_of(context: Context, model: Snapshot | Student) -> Path | None:
    """Return the file of a float model's weights; None where it is the parent itself or the recipe keeps no structure.

    They take four times the bytes of an INT8 file, so they are kept for those alone who start from them.
    """
    if context.job.recipe.keep_structure is None or model.folder is None:
        return None
    return model.folder / WEIGHTS


def program_of(context: Context, model: Snapshot | Student) -> Path | None:
    """Return the file of a family's float model as a program; None for a model that is no family.

    The next version needs it where it has the same backbone.
    """
    if isinstance(model, UpdatedFamily):
        return model.program
    if not context.job.tasks:
        return None
    parent = context.torch_parent

    def produce(folder: Path) -> str:
        save_program(model.load(parent), parent.example, folder / PROGRAM)
        return PROGRAM

    inputs = {"parent": parent.digest, "model": model.digest}
    return context.store.run("family-program", inputs, (*LOADING, save_program), produce).folder / PROGRAM


def parts_of(context: DeviceContext, model: Snapshot | Student) -> FamilyParts | None:
    """Return what the parts of a family's float model were made from; None where that is not recorded."""
    record, program = members_of(context, context.job.version), program_of(context, model)
    if record is None or program is None:
        return None
    made_from = {member.name: member.identity for member in record.members}
    return FamilyParts(
        backbone=record.digest,
        heads=model.origins if isinstance(model, UpdatedFamily) else made_from,
        profile=digest_of(stated(context.device)),
        program=sha256_of(program),
    )


def members_of(context: Context, version: str) -> FamilyRecord | None:
    """Return what a version of the family was composed of; None where the registry does not say."""
    job = context.job
    return FamilyRecord.of(Upstream(job.workspace.tracking_uri).tags(job.model, version)) if job.tasks else None


def released_structure(context: DeviceContext, release: EdgeVersion) -> ReleaseStructure | None:
    """Read the structure of a release from the run that made it; None where there is none.

    One that cannot be read counts as none, with a warning. Raises RegistryUnavailable.
    """
    run = context.edge_models.page(release).candidate.run
    try:
        text = context.runs.find_text(run, STRUCTURE)
        return None if text is None else ReleaseStructure.model_validate_json(text)
    except RegistryError as error:
        logger.warning("%s: the structure of release %d is not known. %s", context.device.name, release.release, error)
    except ValidationError as error:
        logger.warning("run %s: its %s cannot be read (%d differences)", run, STRUCTURE, error.error_count())
    return None


def released_weights(context: DeviceContext, release: EdgeVersion, structure: ReleaseStructure) -> Path | None:
    """Fetch the float weights of a release into the store, once; None where they were not kept.

    Others than those that the structure names count as none, with a warning.
    """
    return None if structure.weights is None else _released_file(context, release, WEIGHTS, structure.weights)


def released_program(context: DeviceContext, release: EdgeVersion, parts: FamilyParts) -> Path | None:
    """Fetch the program of a family's release into the store, once; None, with a warning, where it is not there."""
    return _released_file(context, release, PROGRAM, parts.program)


def _released_file(context: DeviceContext, release: EdgeVersion, name: str, sha256: str) -> Path | None:
    run = context.edge_models.page(release).candidate.run

    def produce(folder: Path) -> str:
        found = context.runs.fetch(run, f"{WEIGHTS_FOLDER}/{name}", folder)
        if sha256_of(found) != sha256:
            raise RegistryError(f"run {run}: expected {name} with sha256 {sha256}, got another file")
        return str(found.relative_to(folder))

    try:
        stage = context.store.run("release-weights", {"sha256": sha256}, (__name__,), produce)
    except RegistryError as error:
        logger.warning("%s: the weights of release %d are not used. %s", context.device.name, release.release, error)
        return None
    return stage.folder / str(stage.value)


def _size(shape: tuple[int, ...] | None) -> str:
    return "absent" if shape is None else " x ".join(map(str, shape)) or "one number"

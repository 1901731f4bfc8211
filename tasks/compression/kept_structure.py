"""The structure of a release, taken on by another version: a new parent is distilled into the same layers and shapes.

An update of a device is small where both versions have one structure and weights that differ by few steps. So training
goes on from the weights of the release where they were kept. Without them, the same units are removed from the new
parent, whose weights differ by far more.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from deployments.rungs import Rung
from deployments.techniques import FineTune
from deployments.yaml_file import stated
from edge_runtime.files import sha256_of
from model_compression.errors import PruningError, cause_of
from model_compression.pruning import load_weights, replay
from model_compression.students import Architecture
from model_compression.training import fine_tune
from tasks.compression.distillation_targets import fine_tune_with_parent
from tasks.compression.float_models import KEEPING, LOADING, Snapshot, keep_float_model
from tasks.compression.floors import broken_floor
from tasks.compression.parent_baseline import Baseline
from tasks.compression.structures import ParentForm, ReleaseStructure, StudentShape, bounds_of, shapes_of
from tasks.compression.students import Student, distil_as, untrained_student
from tasks.errors import StructureLost
from tasks.progress import as_task
from tasks.upstream import Context, DeviceContext, TorchParent

CODE = (*LOADING, *KEEPING, replay, fine_tune, fine_tune_with_parent, __name__)


@dataclass(frozen=True)
class DeployedStructure:
    """The structure of the release with a number, and the file of its float weights where they were kept."""

    release: int
    record: ReleaseStructure
    weights: Path | None = None

    def training(self, context: Context, otherwise: FineTune) -> FineTune:
        """Return the settings of the training: the recipe's own for weights of a release, where it has some."""
        kept = context.job.recipe.keep_structure
        own = None if kept is None or self.weights is None else kept.fine_tune
        return otherwise if own is None else own


def rung_of(context: DeviceContext, structure: ReleaseStructure) -> Rung:
    """Return the ladder's rung that made the file of a release, or else the cheapest one of its kind.

    A file by a rung of another kind has another form, whatever its structure. Raises StructureLost where the ladder has
    none of that kind for the device.
    """
    kind = structure.rung.get("kind")
    alike = [rung for rung in context.rungs if rung.kind == kind]
    if not alike:
        raise StructureLost(f"the ladder has no rung `{kind}` for {context.device.name} any more")
    return next((rung for rung in alike if stated(rung) == structure.rung), alike[0])


def take_on(context: Context, baseline: Baseline, deployed: DeployedStructure) -> Snapshot | Student:
    """Return a float model of this version with a release's structure, or the parent where nothing had been removed.

    Where the release is of a student, it is one of the same architecture, whose parent may have any. Raises
    StructureLost where parent or recipe do not allow the structure and where it falls below a floor of the recipe, and
    CompressionError where it cannot be trained.
    """
    record = deployed.record
    if record.student is not None:
        return _student(context, deployed, record.student)
    difference = record.parent.difference(ParentForm.of(context.torch_parent))
    if difference:
        raise StructureLost(f"version {context.job.version} has another architecture ({difference})")
    check_bounds(context, record)
    if not record.removed:
        return baseline.snapshot
    kept = _replayed(context, deployed)
    fell = broken_floor(context.job, baseline.snapshot, kept)
    if fell:
        raise StructureLost(f"the {fell}")
    return kept


def check_bounds(context: Context, record: ReleaseStructure) -> None:
    """Raise StructureLost where the recipe allows other structures than that which a release was made by."""
    bounds = bounds_of(context.job.recipe.prune)
    changed = sorted(key for key in {*bounds, *record.bounds} if bounds.get(key) != record.bounds.get(key))
    if changed:
        raise StructureLost(f"the recipe's {' and '.join(f'`{key}`' for key in changed)} of `prune` changed")


def _student(context: Context, deployed: DeployedStructure, shape: StudentShape) -> Student:
    settings = context.job.recipe.distil
    if (
        settings is None
        or settings.family != shape.family
        or shape.width not in settings.widths
        or shape.depth not in settings.depths
    ):
        raise StructureLost(
            f"the recipe's `distil` has no {shape.family} of width {shape.width} and depth {shape.depth} any more"
        )
    architecture = Architecture(shape.family, shape.width, shape.depth)
    _check_shapes(untrained_student(context, settings, architecture), deployed.record)
    training = deployed.training(context, settings.fine_tune).settings()
    return distil_as(context, settings, architecture, training, deployed.weights)


def _replayed(context: Context, deployed: DeployedStructure) -> Snapshot:
    """Train the structure of a release on from its weights, or from those of the parent without the same units."""
    job, parent, record, weights = context.job, context.torch_parent, deployed.record, deployed.weights
    settings = deployed.training(context, job.recipe.prune.fine_tune).settings()
    title = f"structure of release {deployed.release}"

    def produce(folder: Path) -> dict[str, Any]:
        model = _removed(parent, record)
        if weights is not None:
            load_weights(model, weights)
        fine_tune_with_parent(context, model, settings, f"fine-tuning the {title}")
        return keep_float_model(job, folder, model, record.history)

    inputs = {
        "parent": parent.digest,
        "removed": record.history,
        "shapes": {name: list(shape) for name, shape in record.shapes.items()},
        "weights": None if weights is None else sha256_of(weights),
        "settings": repr(settings),
        **job.digests("train", "validation"),
    }
    stage = context.store.run("kept-structure", inputs, CODE, as_task("kept structure", title, produce))
    return Snapshot.of(stage, len(record.removed), deployed.release)


def _removed(parent: TorchParent, record: ReleaseStructure) -> nn.Module:
    model = parent.build()
    try:
        replay(model, parent.example, record.history)
    except (AttributeError, LookupError, RuntimeError, ValueError, PruningError) as error:
        raise StructureLost(f"its removals could not be replayed: {cause_of(error)}") from error
    _check_shapes(model, record)
    return model


def _check_shapes(model: nn.Module, record: ReleaseStructure) -> None:
    made = shapes_of(model)
    if made != record.shapes:
        differing = next(name for name in {**made, **record.shapes} if made.get(name) != record.shapes.get(name))
        raise StructureLost(f"the same removals left another shape of {differing}")

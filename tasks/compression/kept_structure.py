"""The structure of a release, taken on by another version: its removals are replayed, then the parent is distilled.

An update of a device is small where both versions have one structure.
"""

from pathlib import Path
from typing import Any

from torch import nn

from deployments.rungs import Rung
from deployments.yaml_file import stated
from model_compression.errors import PruningError, cause_of
from model_compression.pruning import replay
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


def take_on(context: Context, baseline: Baseline, structure: ReleaseStructure, release: int) -> Snapshot | Student:
    """Return the parent with the structure of a release, trained again; as it is where nothing had been removed.

    Where the release is of a student, it is one of the same architecture, whose parent may have any.

    Raises StructureLost where parent or recipe do not allow it and where it falls below a floor of the recipe, and
    CompressionError where it cannot be trained.
    """
    if structure.student is not None:
        return _student(context, structure, structure.student)
    difference = structure.parent.difference(ParentForm.of(context.torch_parent))
    if difference:
        raise StructureLost(f"version {context.job.version} has another architecture ({difference})")
    bounds = bounds_of(context.job.recipe.prune)
    changed = sorted(key for key in {*bounds, *structure.bounds} if bounds.get(key) != structure.bounds.get(key))
    if changed:
        raise StructureLost(f"the recipe's {' and '.join(f'`{key}`' for key in changed)} of `prune` changed")
    if not structure.removed:
        return baseline.snapshot
    kept = _replayed(context, structure, release)
    fell = broken_floor(context.job, baseline.snapshot, kept)
    if fell:
        raise StructureLost(f"the {fell}")
    return kept


def _student(context: Context, structure: ReleaseStructure, shape: StudentShape) -> Student:
    settings = context.job.recipe.distil
    if (
        settings is None
        or settings.family != shape.family
        or shape.width not in settings.widths
        or shape.depth not in settings.depths
    ):
        raise StructureLost(f"the recipe's `distil` has no {shape.family} of width {shape.width} and depth "
                            f"{shape.depth} any more")  # fmt: skip
    architecture = Architecture(shape.family, shape.width, shape.depth)
    _check_shapes(untrained_student(context, settings, architecture), structure)
    return distil_as(context, settings, architecture)


def _replayed(context: Context, structure: ReleaseStructure, release: int) -> Snapshot:
    """Remove the units of a release from the parent, all at once, and train as after the last round."""
    job, parent, history = context.job, context.torch_parent, structure.history
    settings = job.recipe.prune.fine_tune.settings()

    def produce(folder: Path) -> dict[str, Any]:
        model = _removed(parent, structure)
        fine_tune_with_parent(context, model, settings, f"fine-tuning the structure of release {release}")
        return keep_float_model(job, folder, model, history)

    inputs = {
        "parent": parent.digest,
        "removed": history,
        "shapes": {name: list(shape) for name, shape in structure.shapes.items()},
        "settings": repr(settings),
        **job.digests("train", "validation"),
    }
    title = f"structure of release {release}"
    stage = context.store.run("kept-structure", inputs, CODE, as_task("kept structure", title, produce))
    return Snapshot.of(stage, len(history), release)


def _removed(parent: TorchParent, structure: ReleaseStructure) -> nn.Module:
    model = parent.build()
    try:
        replay(model, parent.example, structure.history)
    except (AttributeError, ValueError, PruningError) as error:
        raise StructureLost(f"its removals could not be replayed: {cause_of(error)}") from error
    _check_shapes(model, structure)
    return model


def _check_shapes(model: nn.Module, structure: ReleaseStructure) -> None:
    made = shapes_of(model)
    if made != structure.shapes:
        differing = next(name for name in {**made, **structure.shapes} if made.get(name) != structure.shapes.get(name))
        raise StructureLost(f"the same removals left another shape of {differing}")

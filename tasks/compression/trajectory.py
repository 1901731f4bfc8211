"""The pruning trajectory, one for all devices: a round removes units, then distils the parent into the rest.

It stops when every device's budgets hold as measured, or when a floor on validation breaks.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from torch import nn

from deployments.device import DeviceProfile
from deployments.techniques import Search
from edge_runtime.measurement import RESOURCES
from model_compression.errors import PruningError
from model_compression.pruning import (
    NOTHING,
    CostKind,
    History,
    Protected,
    Round,
    costs_of,
    remove_units,
    removed_units,
    trim_vocabulary,
    unit_scores,
    units_of,
)
from model_compression.training import batches, fine_tune
from tasks.compression.distillation_targets import fine_tune_with_parent
from tasks.compression.float_models import KEEPING, LOADING, FloatSource, Snapshot, keep_float_model
from tasks.compression.floors import accuracy_floor, broken_floor
from tasks.compression.parent_baseline import Baseline, expected_file
from tasks.compression.prunable_units import TRYING, Prunable, prunable_units, tried_again
from tasks.job import Job
from tasks.measurement import measure_on
from tasks.progress import Advance, Cell, as_task, tell
from tasks.upstream import UNTRAINABLE, Context, TorchParent

logger = logging.getLogger("edgewright")
WEIGHED_AS: dict[str, CostKind] = {
    name: resource.weighed_as for name, resource in RESOURCES.items() if resource.weighed_as is not None
}
MARGIN = 1.15  # of what is missing: a file's graph and a model's fixed work do not shrink with its weights
SMALLEST_RATIO = 0.01
CODE = (
    remove_units,
    unit_scores,
    units_of,
    costs_of,
    trim_vocabulary,
    *TRYING,
    fine_tune,
    fine_tune_with_parent,
    *LOADING,
    *KEEPING,
    __name__,
)


@dataclass(frozen=True)
class Step:
    """One round as it was decided: the ratio, the resource that importance was divided by, and whether it was kept."""

    ratio: float
    weigh_by: str
    kept: bool


@dataclass(frozen=True)
class Trajectory:
    """Snapshots from the parent to the smallest, all above the floors; why pruning stopped; the layers that stay whole.

    `undone` are rounds that broke a floor and were taken back; `steps` are all rounds in their order. `release` is the
    number of the release whose structure was kept, where no round was taken for that reason.
    """

    snapshots: tuple[Snapshot, ...]
    undone: tuple[Snapshot, ...]
    stopped: str
    protected: tuple[Protected, ...]
    steps: tuple[Step, ...] = ()
    release: int | None = None


@task(name="prune", task_run_name="prune", cache_policy=NO_CACHE)
def prune(context: Context, baseline: Baseline, known: Sequence[Step] = ()) -> Trajectory:
    """Prune in rounds until every device's budgets hold, a floor breaks, or nothing is left to remove.

    `known` are the steps that were taken for other devices: they are taken again as they were, and further rounds
    follow only where the devices that are asked now need them.

    A round that breaks the accuracy floor, or loses more on a critical slice than its gate allows, is undone and tried
    once more with half of the ratio; if that breaks it too, the trajectory ends. An ONNX upstream stays whole.
    """
    if not context.trainable:
        return Trajectory((baseline.snapshot,), (), UNTRAINABLE, ())
    return _Pruning(context, baseline).run(known)


class _Pruning:
    """The state of one trajectory."""

    def __init__(self, context: Context, baseline: Baseline) -> None:
        self.context, self.baseline = context, baseline
        self.prunable = prunable_units(context)
        self.snapshots, self.undone, self.steps = [baseline.snapshot], list[Snapshot](), list[Step]()
        self.ratio = context.job.recipe.prune.ratio

    def run(self, known: Sequence[Step]) -> Trajectory:
        """Take the known steps again, then go on where a device needs it."""
        stop = self._again(known)
        while stop is None and (stop := _enough(self.context, self.baseline, self.snapshots[-1])) is None:
            try:
                weigh_by = _weigh_by(self.context, self.snapshots[-1])
                stop = self._take(_scaled(self.context, self.snapshots[-1], self.ratio, weigh_by), weigh_by)
            except PruningError as error:
                stop = str(error)
        return Trajectory(tuple(self.snapshots), tuple(self.undone), stop, self.prunable.protected, tuple(self.steps))

    def _again(self, known: Sequence[Step]) -> str | None:
        stop = None
        for step in known:
            stop = self._take(step.ratio, step.weigh_by)
        return stop

    def _take(self, ratio: float, weigh_by: str) -> str | None:
        """Take one round; return why pruning ends where it broke a floor for the second time."""
        context, job = self.context, self.context.job
        self.prunable = tried_again(context, self.snapshots[-1], self.prunable)
        after = _round(context, self.snapshots[-1], self.prunable, ratio, weigh_by)
        reason = broken_floor(job, self.baseline.snapshot, after)
        _report(job, after)
        self._tell(after, ratio, weigh_by, reason)
        self.steps.append(Step(ratio, weigh_by, reason is None))
        if reason is None:
            self.snapshots.append(after)
            return None
        self.undone.append(after)
        if len(self.undone) > 1:
            return reason
        self.ratio = ratio / 2
        logger.info("%s: the round is undone and tried again at ratio %g", reason, self.ratio)
        return None

    def _tell(self, after: Snapshot, ratio: float, weigh_by: str, reason: str | None) -> None:
        job, most = self.context.job, self.context.job.recipe.prune.max_rounds
        floor = accuracy_floor(job, self.baseline.snapshot)
        line: dict[str, Cell] = {
            "round": after.index, "ratio": ratio, "weighed by": weigh_by, "parameters": after.parameters,
            f"validation {job.score_word}": after.accuracy, "floor": floor,
            "kept": "yes" if reason is None else f"no: {reason}",
        }  # fmt: skip
        tell(Advance("rounds", after.index, most, f"{after.title} of at most {most} is done", lines=[line]))


def _enough(context: Context, baseline: Baseline, last: Snapshot) -> str | None:
    """Return the reason why no further round is needed or allowed, else None.

    A search for anything but accuracy goes on below the budgets, to the floor.
    """
    recipe = context.job.recipe
    if not _goes_on_below(recipe.search) and (kept := _keeps_budgets(context, baseline, last)):
        return kept
    if last.index == recipe.prune.max_rounds:
        return f"all {last.index} rounds are done"
    return None


def _keeps_budgets(context: Context, baseline: Baseline, last: Snapshot) -> str | None:
    """Return a sentence where every budget holds as measured, else None.

    File sizes are estimated first because that needs no measurement.
    """
    devices = [context.on(device) for device in context.job.devices]
    if all(baseline.least_bytes(last, each.rungs) <= each.device.budgets.size_bytes for each in devices):
        missed = _missed_budgets(context, last)
        if not missed:
            return f"{last.title} keeps every device's budgets"
        logger.info("%s: one more round, for its expected file misses %s", last.title, "; ".join(missed))
    return None


def _goes_on_below(search: Search | None) -> bool:
    return search is not None and search.objective != "accuracy"


def _weigh_by(context: Context, last: Snapshot) -> str:
    chosen = context.job.recipe.prune.weigh_by
    return _binding_resource(context, last) if chosen == "binding" else chosen


def _scaled(context: Context, last: Snapshot, ratio: float, weigh_by: str) -> float:
    """Return the ratio of a round: less than the recipe's where less is missing to the budget that is furthest away."""
    if weigh_by == "channels" or _goes_on_below(context.job.recipe.search):
        return ratio
    furthest = max((share for _, _, share in _uses(context, last)), default=0.0)
    if furthest <= 1:
        return ratio
    return min(ratio, round(MARGIN * (1 - 1 / furthest) + SMALLEST_RATIO, 2))


def _round(context: Context, last: Snapshot, prunable: Prunable, ratio: float, weigh_by: str) -> Snapshot:
    job, settings = context.job, context.job.recipe.prune
    inputs = {
        "parent": context.parent.digest,
        "last": last.digest,
        "index": last.index + 1,
        "ratio": ratio,
        "weigh_by": weigh_by,
        "settings": settings.model_dump(mode="json", exclude={"ratio", "weigh_by", "max_rounds", "accuracy_floor"}),
        **job.digests("train", "calibration", "validation"),
    }

    def produce(folder: Path) -> dict[str, Any]:
        return _compute(context, last, prunable, ratio, weigh_by, folder)

    title = f"pruning round {last.index + 1}"
    stage = context.store.run("prune", inputs, CODE, as_task("pruning round", title, produce))
    return Snapshot.of(stage, last.index + 1)


def _compute(
    context: Context, last: Snapshot, prunable: Prunable, ratio: float, weigh_by: CostKind | str, folder: Path
) -> dict[str, Any]:
    job, before = context.job, last.history
    model = last.load(context.torch_parent)
    history = before + _remove(context, model, prunable, before, ratio, weigh_by)
    settings = job.recipe.prune.fine_tune.settings()
    settings = replace(settings, seed=settings.seed + last.index + 1)
    fine_tune_with_parent(context, model, settings, f"fine-tuning round {last.index + 1}")
    return keep_float_model(job, folder, model, history)


def _remove(
    context: Context, model: nn.Module, prunable: Prunable, before: History, ratio: float, weigh_by: CostKind | str
) -> History:
    job, parent = context.job, context.torch_parent
    settings, calibration = job.recipe.prune, job.splits["calibration"]
    trimmed = _trim(job, parent, model, before)
    units = units_of(model, parent.example, settings.units, prunable.protected)
    rows = batches(calibration.inputs, calibration.targets, settings.fine_tune.batch_size)
    scores = unit_scores(model, rows, job.loss, settings.importance, units.layers)
    costs = NOTHING if weigh_by == "channels" else costs_of(model, parent.example, weigh_by)  # type: ignore[arg-type]
    gone = removed_units(before)
    bounds = {kind: share * prunable.counts.get(kind, 0) for kind, share in settings.at_most.items()}
    left: dict[str, float] = {kind: bound - gone[kind] for kind, bound in bounds.items()}
    (removed,) = remove_units(
        model, parent.example, units, scores, ratio, round_to=settings.round_to, costs=costs, at_most=left
    )
    return [trimmed | removed]


def _trim(job: Job, parent: TorchParent, model: nn.Module, before: History) -> Round:
    """Cut the table of tokens; only the first round does it."""
    vocabulary = job.recipe.prune.vocabulary
    if vocabulary is None or before:
        return {}
    rows = job.splits["train"].inputs
    return {"vocabulary": trim_vocabulary(model, parent.example, rows, **vocabulary.model_dump())}


def _report(job: Job, snapshot: Snapshot) -> None:
    logger.info(
        "pruning round %d of at most %d: %s parameters, validation %s %.3f (%.1f s)",
        snapshot.index, job.recipe.prune.max_rounds, f"{snapshot.parameters:,}", job.score_word, snapshot.accuracy,
        snapshot.seconds,
    )  # fmt: skip


def _missed_budgets(context: Context, model: FloatSource) -> list[str]:
    """Measure a model's expected file on every device; return the budgets that it misses and by how much."""
    return [
        f"{device.name}: {limit} at {share:.2f} of its budget" for device, limit, share in _uses(context, model)
        if share > 1
    ]  # fmt: skip


def _binding_resource(context: Context, model: FloatSource) -> CostKind:
    """Return the resource whose budget is furthest away, over all devices; bytes where nothing could be measured."""
    uses = list(_uses(context, model))
    if not uses:
        return "bytes"
    device, limit, share = max(uses, key=lambda use: use[2])
    logger.info("%s: %s binds, at %.2f of the budget of %s", model.title, limit, share, device.name)
    return WEIGHED_AS[limit]


def _uses(context: Context, model: FloatSource) -> Iterator[tuple[DeviceProfile, str, float]]:
    """Yield (device, resource, share of its budget) of the expected file."""
    for device in context.job.devices:
        file = expected_file(context.on(device), model)
        seen = measure_on(context.on(device), file.path, "validation")
        for limit in device.budgets.limits():
            if seen.resources is not None and limit.resource in WEIGHED_AS and limit.at_most is not None:
                yield device, limit.resource, seen.resources.value(limit.resource) / limit.at_most

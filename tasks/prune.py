"""One pruning trajectory for all devices: a round removes channels, the parent teaches the rest."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE
from torch import nn

from model_compression.errors import PruningError
from model_compression.footprint import int8_weight_bytes, parameters
from model_compression.importance import taylor_scores
from model_compression.pruning import Protected, protected_layers, remove_channels
from model_compression.snapshot import save_snapshot
from model_compression.training import batches, fine_tune, predict
from tasks.baseline import Baseline
from tasks.intake import Parent
from tasks.job import Job
from tasks.progress import steps
from tasks.snapshots import Snapshot

logger = logging.getLogger("edgewright")
CODE = ("model_compression", "tasks.prune")


@dataclass(frozen=True)
class Trajectory:
    """Snapshots from the parent to the smallest, all above the accuracy floor; why it stopped; what stays whole."""

    snapshots: tuple[Snapshot, ...]
    below_floor: Snapshot | None
    stopped: str
    protected: tuple[Protected, ...]


@task(name="prune", cache_policy=NO_CACHE)
def prune(job: Job, parent: Parent, baseline: Baseline) -> Trajectory:
    """Prune in rounds until the smallest device's file budget, the accuracy floor, or nothing is left to remove."""
    settings = job.recipe.prune
    budget = min(device.budgets.size_bytes for device in job.recipe.devices)
    floor = baseline.snapshot.accuracy - settings.accuracy_floor
    protected = tuple(protected_layers(parent.build(), parent.example))
    snapshots = [baseline.snapshot]
    while True:
        last = snapshots[-1]
        if last.weight_bytes + baseline.graph_bytes <= budget:
            return Trajectory(tuple(snapshots), None, f"{last.title} fits the smallest file budget", protected)
        if last.index == settings.max_rounds:
            return Trajectory(tuple(snapshots), None, f"all {settings.max_rounds} rounds are done", protected)
        try:
            after = _round(job, parent, baseline, last, protected)
        except PruningError as error:
            return Trajectory(tuple(snapshots), None, str(error), protected)
        _report(after, settings.max_rounds)
        if after.accuracy < floor:
            reason = f"{after.title} fell to {after.accuracy:.3f} on validation, below the floor of {floor:.3f}"
            return Trajectory(tuple(snapshots), after, reason, protected)
        snapshots.append(after)


def _round(job: Job, parent: Parent, baseline: Baseline, last: Snapshot, protected: tuple[Protected, ...]) -> Snapshot:
    index = last.index + 1
    settings = job.recipe.prune
    inputs = {
        "parent": parent.digest,
        "last": last.digest,
        "index": index,
        "ratio": settings.ratio,
        "round_to": settings.round_to,
        "importance": settings.importance,
        "fine_tune": settings.fine_tune.model_dump(),
        **job.digests("train", "calibration", "validation"),
    }
    stage = job.workspace.store.run(
        "prune", inputs, CODE, lambda folder: _compute(job, parent, baseline, last, protected, folder)
    )
    return Snapshot(
        index=index,
        digest=stage.digest,
        folder=stage.folder,
        outputs=stage.folder / "outputs.npy",
        seconds=stage.seconds,
        **stage.value,
    )


def _compute(
    job: Job, parent: Parent, baseline: Baseline, last: Snapshot, protected: tuple[Protected, ...], folder: Path
) -> dict[str, Any]:
    settings = job.recipe.prune
    model = last.load(parent)
    calibration = job.splits["calibration"]
    rows = batches(calibration.inputs, calibration.targets, settings.fine_tune.batch_size)
    scores = taylor_scores(model, rows, job.workload.loss)
    history = remove_channels(
        model, parent.example, scores, settings.ratio, round_to=settings.round_to, protected=protected
    )
    _fine_tune(job, model, baseline.teacher_outputs, last.index + 1)
    save_snapshot(folder, model, last.history + history)
    outputs = predict(model, job.splits["validation"].inputs)
    np.save(folder / "outputs.npy", outputs)
    return {
        "parameters": parameters(model),
        "weight_bytes": int8_weight_bytes(model),
        "accuracy": float(job.workload.score(outputs, job.splits["validation"].targets).mean()),
    }


def _fine_tune(job: Job, model: nn.Module, teacher: np.ndarray, index: int) -> None:
    train = job.splits["train"]
    settings = job.recipe.prune.fine_tune.settings()
    settings = replace(settings, seed=settings.seed + index)
    with steps(f"fine-tuning round {index}") as progress:
        fine_tune(
            model, train.inputs, train.targets, teacher, job.workload.loss, settings, progress, job.validation_score
        )


def _report(snapshot: Snapshot, rounds: int) -> None:
    logger.info(
        "pruning round %d of at most %d: %s parameters, validation accuracy %.3f (%.1f s)",
        snapshot.index,
        rounds,
        f"{snapshot.parameters:,}",
        snapshot.accuracy,
        snapshot.seconds,
    )

"""Floors of pruning on validation: of the mean score, and of critical slices and classes."""

from collections.abc import Iterator

import pandas as pd

from quality_gates.errors import EmptySliceError
from quality_gates.evidence import in_slice
from quality_gates.gates import NonInferiority
from tasks.compression.float_models import Snapshot
from tasks.job import Job
from tasks.measurement import answer_rows

MEANS_OF_SCORES = {"accuracy", "mae", "mean_score"}  # so that a gate's margin is a floor of the mean score


def accuracy_floor(job: Job, parent: Snapshot) -> float:
    """Return the mean score below which no round may fall: a share of the parent's error where scores are errors."""
    return parent.accuracy - job.allowed_loss(job.recipe.prune.accuracy_floor, parent.accuracy)


def broken_floor(job: Job, parent: Snapshot, after: Snapshot) -> str | None:
    """Return a sentence on the floor that a snapshot broke; None where it broke none.

    The accuracy floor is the recipe's, of a family that of each task. On a critical slice or class it is the margin of
    the gate against the parent.
    """
    floor = accuracy_floor(job, parent)
    if not job.recipe.members and after.accuracy < floor:
        return f"{after.title} fell to {after.accuracy:.3f} on validation, below the floor of {floor:.3f}"
    rows, before = (answer_rows(job, "validation", each.validation_outputs) for each in (after, parent))
    if (broken := _broken_task(job, after, before, rows)) is not None:
        return broken
    for gate in _guarding(job):
        try:
            critical = in_slice(rows, gate.guarded)
        except EmptySliceError:  # no row can be lost there
            continue
        then, now = (float(each["score"][critical].mean()) for each in (before, rows))
        if then - now > gate.margin:
            fell = f"{after.title} fell from {then:.3f} to {now:.3f} on the validation rows with {gate.guarded}"
            return f"{fell}, by more than the margin of {gate.margin:g}"
    return None


def _broken_task(job: Job, after: Snapshot, before: pd.DataFrame, rows: pd.DataFrame) -> str | None:
    """Return a sentence on the task of a family whose accuracy floor is broken: each has scores of its own unit."""
    tasks = zip(job.recipe.members, job.workload.of_models, strict=True) if job.recipe.members else ()
    for member, workload in tasks:
        asked = in_slice(rows, member.rows)
        then, now = (float(each["score"][asked].mean()) for each in (before, rows))
        share = job.recipe.prune.accuracy_floor
        floor = then - (share * abs(then) if workload.scores_are_errors else share)
        if now < floor:
            fell = f"{after.title} fell to {now:.3f} on the validation rows of {member.name}"
            return f"{fell}, below the floor of {floor:.3f}"
    return None


def _guarding(job: Job) -> Iterator[NonInferiority]:
    """Yield the gates on rows of their own whose margin is one of the mean score, as is that of a class's recall."""
    for task, workload in zip(job.recipe.gates_of_models, job.workload.of_models, strict=True):
        means = MEANS_OF_SCORES | ({"recall"} if workload.answers_are_shares else set())
        compared = (gate for gate in task if isinstance(gate, NonInferiority) and gate.against == "parent")
        yield from (gate for gate in compared if gate.metric in means and gate.guarded)

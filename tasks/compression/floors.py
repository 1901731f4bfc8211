"""Floors of pruning on validation: of the mean score, and of critical slices and classes."""

from collections.abc import Iterator

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

    The accuracy floor is the recipe's. On a critical slice or class it is the margin of the gate against the parent.
    """
    floor = accuracy_floor(job, parent)
    if after.accuracy < floor:
        return f"{after.title} fell to {after.accuracy:.3f} on validation, below the floor of {floor:.3f}"
    rows, before = (answer_rows(job, "validation", each.validation_outputs) for each in (after, parent))
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


def _guarding(job: Job) -> Iterator[NonInferiority]:
    """Yield the gates on rows of their own whose margin is one of the mean score, as is that of a class's recall."""
    means = MEANS_OF_SCORES | ({"recall"} if job.workload.answers_are_shares else set())
    compared = (gate for gate in job.recipe.gates if isinstance(gate, NonInferiority) and gate.against == "parent")
    yield from (gate for gate in compared if gate.metric in means and gate.guarded)

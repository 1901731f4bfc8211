"""What the report says about losses: what each stage on the way to the chosen file cost."""

from collections.abc import Iterator

from quality_gates.evidence import ModelEvidence
from quality_gates.report import LedgerRow, SliceValue
from tasks.compression import Snapshot, Student, Trajectory
from tasks.job import Job
from tasks.measurement import answer_rows
from tasks.reporting.outcomes import accuracy, critical_slices
from tasks.selection import Attempt


def ledger(job: Job, trajectory: Trajectory, chosen: Attempt) -> Iterator[LedgerRow]:
    """Yield the stages from the parent to the chosen file, each with what was left on validation after it."""
    for model in _way_to(trajectory, chosen.snapshot):
        answers = ModelEvidence(answer_rows(job, "validation", model.validation_outputs), resources=None)
        yield _row(job, model.title, answers, model.file_bytes, model.seconds or None)
    yield _row(job, chosen.rung, chosen.measured, chosen.size_bytes, chosen.seconds)


def _way_to(trajectory: Trajectory, last: Snapshot | Student) -> list[Snapshot | Student]:
    if isinstance(last, Student):
        return [trajectory.snapshots[0], last]
    return [snapshot for snapshot in trajectory.snapshots if snapshot.index <= last.index]


def _row(job: Job, stage: str, model: ModelEvidence, size_bytes: int, seconds: float | None) -> LedgerRow:
    slices = tuple(SliceValue(name=str(c), value=accuracy(model, c)) for c in critical_slices(job))
    return LedgerRow(stage=stage, accuracy=accuracy(model), slices=slices, size_bytes=size_bytes, seconds=seconds)

"""The models between size and accuracy: all of the search, and the one that the candidate would replace."""

from collections.abc import Iterator
from functools import partial

from quality_gates.evidence import Evidence, ModelEvidence
from quality_gates.report import SizePoint
from tasks.compression import Snapshot, Student, Trajectory
from tasks.reporting.outcomes import accuracy
from tasks.selection import Attempt, Climb, front


def frontier(
    trajectory: Trajectory, climb: Climb, validation: Evidence | None, deployed: str | None
) -> Iterator[SizePoint]:
    """Yield every model of the search, and what is deployed now if it was measured on the `validation` rows."""
    yield from map(partial(_snapshot, trajectory), (*trajectory.snapshots, *trajectory.undone))
    tried = {attempt.snapshot.title: attempt.snapshot for attempt in climb.attempts}
    yield from (_student(student) for student in tried.values() if isinstance(student, Student))
    best = front(climb.attempts)
    yield from (_rung(attempt, climb, best) for attempt in climb.attempts)
    if deployed and validation is not None and validation.deployed is not None:
        yield _deployed(deployed, validation.deployed)


def _snapshot(trajectory: Trajectory, snapshot: Snapshot) -> SizePoint:
    undone = ", undone: it broke a floor" if snapshot in trajectory.undone else ""
    return SizePoint(
        label=snapshot.title,
        kind="parent" if snapshot.folder is None else "snapshot",
        size_bytes=snapshot.file_bytes,
        accuracy=snapshot.accuracy,
        note=f"{snapshot.parameters:,} parameters, FP32{undone}",
    )


def _student(student: Student) -> SizePoint:
    return SizePoint(
        label=student.title,
        kind="student",
        size_bytes=student.file_bytes,
        accuracy=student.accuracy,
        note=f"{student.parameters:,} parameters, FP32, taught by the parent",
    )


def _rung(attempt: Attempt, climb: Climb, best: list[Attempt]) -> SizePoint:
    return SizePoint(
        label=attempt.title,
        kind="rung",
        size_bytes=attempt.size_bytes,
        accuracy=attempt.accuracy,
        figures=attempt.measured.resources,
        holds=attempt.verdict.passed,
        pareto=attempt in best,
        chosen=attempt is climb.chosen,
        note=attempt.reason,
    )


def _deployed(version: str, measured: ModelEvidence) -> SizePoint:
    """Not its figures of then: those were taken on other rows, maybe by another machine."""
    failed = f"could not be measured: {measured.failure}"
    how = "measured again on the same rows" if measured.failure is None else failed
    return SizePoint(
        label="deployed",
        kind="deployed",
        size_bytes=None if measured.resources is None else measured.resources.size_bytes,
        accuracy=accuracy(measured),
        figures=measured.resources,
        note=f"version {version}, {how}",
    )

"""The quantization ladder: from cheap to dear, until every gate holds on validation."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace

from prefect import task
from prefect.cache_policies import NO_CACHE

from deployments.device import SIZE_BUDGET, DeviceProfile
from deployments.recipe import Dynamic, PostTraining, QuantizationAware, Rung
from quality_gates.decide import decide
from quality_gates.evidence import ComparedRows, Evidence, ModelEvidence
from quality_gates.policy import GatePolicy
from quality_gates.verdict import Verdict
from tasks.baseline import Baseline
from tasks.emulation.answers import measure_for
from tasks.export import ModelFile, export_snapshot, quantize_dynamic, quantize_ptq, quantize_qat
from tasks.measure import answer_rows
from tasks.parity import parity
from tasks.prune import Trajectory
from tasks.references import References
from tasks.snapshots import Snapshot
from tasks.students import Student

logger = logging.getLogger("edgewright")


@dataclass(frozen=True)
class Attempt:
    """One rung tried on one snapshot: its file, what it answered on validation, its cost, and what followed from it."""

    snapshot: Snapshot | Student
    rung: str
    file: ModelFile
    measured: ModelEvidence
    verdict: Verdict
    seconds: float
    reason: str

    @property
    def accuracy(self) -> float | None:
        """Validation accuracy."""
        return None if self.measured.rows is None else float(self.measured.rows["score"].mean())

    @property
    def size_bytes(self) -> int:
        """Bytes of the file."""
        return self.file.path.stat().st_size

    @property
    def misses_resources_only(self) -> bool:
        """Whether a smaller snapshot could help: budgets are what does not hold, accuracy does."""
        return {gate.kind for gate in self.verdict.gates if gate.blocking and gate.outcome != "pass"} == {"limit"}


@dataclass(frozen=True)
class Climb:
    """All attempts for one device, the one that goes to the gates, and whether it held on validation."""

    attempts: tuple[Attempt, ...]
    chosen: Attempt
    held: bool


@task(name="ladder", cache_policy=NO_CACHE)
def climb(references: References, baseline: Baseline, trajectory: Trajectory, student: Student | None = None) -> Climb:
    """Try the rungs on the largest snapshot that fits the device; on smaller ones while only budgets are missed.

    A student is tried beside them. Of what holds, the better on validation goes to the gates. Where nothing holds,
    the best attempt goes there all the same: they will refuse it and say by how much.
    """
    attempts = _climb_trajectory(references, baseline, trajectory)
    if student is not None:
        attempts += _climb_snapshot(references, baseline, student)
    held = [attempt for attempt in attempts if attempt.verdict.passed]
    return Climb(tuple(attempts), max(held or attempts, key=_merit), bool(held))


def _climb_trajectory(references: References, baseline: Baseline, trajectory: Trajectory) -> list[Attempt]:
    attempts: list[Attempt] = []
    for snapshot in _fitting(trajectory, baseline, references.device):
        tried = list(_climb_snapshot(references, baseline, snapshot))
        attempts += tried
        unanswered = tried[-1].measured.unanswered is not None
        if unanswered or tried[-1].verdict.passed or not any(attempt.misses_resources_only for attempt in tried):
            break
    return attempts


def _fitting(trajectory: Trajectory, baseline: Baseline, device: DeviceProfile) -> list[Snapshot]:
    fits = [s for s in trajectory.snapshots if s.weight_bytes + baseline.graph_bytes <= device.budgets.size_bytes]
    return fits or [trajectory.snapshots[-1]]


def _climb_snapshot(references: References, baseline: Baseline, snapshot: Snapshot | Student) -> Iterator[Attempt]:
    job, device = references.job, references.device
    rungs = [rung for rung in job.recipe.ladder if rung.precision in device.precisions]
    for position, rung in enumerate(rungs):
        file = _make(references, baseline, snapshot, rung)
        measured = measure_for(job, references.parent, device, file.path, "validation")
        verdict = decide(job.recipe.search_policy(device), _searched(references, file, snapshot, measured))
        stop = verdict.passed or position == len(rungs) - 1
        cause = None if stop else _no_dearer_rung(references, snapshot, measured, verdict)
        following = "" if stop else f" Next rung: {rungs[position + 1].title}."
        reason = f"{verdict.headline}{f' {cause}' if cause else following}"
        logger.info("%s: %s on %s: %s", device.name, rung.title, snapshot.title, reason)
        yield Attempt(snapshot, rung.title, file, measured, verdict, file.seconds, reason)
        if stop or cause:
            return


def _searched(references: References, file: ModelFile, snapshot: Snapshot | Student, seen: ModelEvidence) -> Evidence:
    evidence = references.beside(seen, "validation")
    return replace(evidence, parity=parity(references, file, snapshot, "validation"))


def _make(references: References, baseline: Baseline, snapshot: Snapshot | Student, rung: Rung) -> ModelFile:
    job, parent, saturates = references.job, references.parent, references.device.saturates
    match rung:
        case PostTraining():
            source = export_snapshot(job, parent, snapshot)
            return quantize_ptq(job, source, method=rung.calibration, reduce_range=saturates)
        case Dynamic():
            return quantize_dynamic(job, export_snapshot(job, parent, snapshot), reduce_range=saturates)
        case QuantizationAware():
            return quantize_qat(job, parent, snapshot, baseline.teacher, rung.fine_tune, reduce_range=saturates)


def _no_dearer_rung(
    references: References, snapshot: Snapshot | Student, measured: ModelEvidence, verdict: Verdict
) -> str | None:
    """Say why no dearer rung can mend it: no answers can be had, the file is too large, or the float snapshot fails."""
    job = references.job
    if measured.unanswered is not None:
        return "Answers cannot be taken on the device's CPU, which no dearer rung would mend."
    if {gate.name for gate in verdict.gates if gate.blocking and gate.outcome != "pass"} == {SIZE_BUDGET}:
        return "Only the file is too large: a dearer rung makes none smaller, so none is tried."
    gates = job.recipe.answer_gates
    if not gates:
        return None
    answers = ModelEvidence(answer_rows(job, "validation", snapshot.validation_outputs), resources=None)
    verdict = decide(GatePolicy(gates=gates), references.beside(answers, "validation"))
    if verdict.outcome != "fail":
        return None
    failed = ", ".join(gate.name for gate in verdict.gates if gate.outcome == "fail")
    return f"The float snapshot itself fails ({failed}): quantization is not the cause, so no dearer rung is tried."


def _merit(attempt: Attempt) -> tuple[int, float]:
    """Fewest gates missed, then accuracy: what comes closest tells most."""
    missed = sum(gate.blocking and gate.outcome != "pass" for gate in attempt.verdict.gates)
    return -missed, attempt.accuracy or 0.0


@task(name="gates", cache_policy=NO_CACHE)
def judge(
    references: References, chosen: Attempt, representativeness: ComparedRows | None = None
) -> tuple[Verdict, Evidence]:
    """Hold the chosen file against the gates on the test split: the one time that anything looks at it."""
    measured = measure_for(references.job, references.parent, references.device, chosen.file.path, "test")
    evidence = replace(
        references.beside(measured, "test"),
        validation=references.beside(chosen.measured, "validation"),
        parity=parity(references, chosen.file, chosen.snapshot, "test"),
        representativeness=representativeness,
    )
    return decide(references.job.recipe.policy(references.device), evidence), evidence

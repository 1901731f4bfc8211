"""One rung tried on one model: its file, what was measured of it on validation, and what its gates say there."""

from dataclasses import dataclass, replace

from deployments.recipe import Rung
from quality_gates.evidence import Evidence, ModelEvidence
from quality_gates.gates import GatePolicy, decide
from quality_gates.verdict import Verdict
from tasks.compression import ModelFile, Snapshot, Student, make_file
from tasks.measurement import answer_rows, measure_for
from tasks.selection.parity_runs import parity
from tasks.selection.reference_models import References

Model = Snapshot | Student


@dataclass(frozen=True)
class Attempt:
    """One rung tried on one model, on validation; `reason` says what came of it and what followed."""

    snapshot: Model
    rung: str
    file: ModelFile
    measured: ModelEvidence
    verdict: Verdict
    seconds: float
    reason: str

    @property
    def title(self) -> str:
        """What reports call its file."""
        return f"{self.rung}, {self.snapshot.title}"

    @property
    def accuracy(self) -> float | None:
        """Validation accuracy."""
        return None if self.measured.rows is None else float(self.measured.rows["score"].mean())

    @property
    def size_bytes(self) -> int:
        """Bytes of the file."""
        return self.file.path.stat().st_size

    @property
    def missed(self) -> set[str]:
        """The gates that do not hold, by name."""
        return {gate.name for gate in self.verdict.gates if gate.blocking and gate.outcome != "pass"}

    @property
    def misses_resources_only(self) -> bool:
        """Whether a smaller model could help: budgets are what does not hold, accuracy does."""
        return {gate.kind for gate in self.verdict.gates if gate.blocking and gate.outcome != "pass"} == {"limit"}

    def figure(self, name: str) -> float | None:
        """Accuracy, or a resource figure by its name; None where it was not measured."""
        if name == "accuracy":
            return self.accuracy
        return None if self.measured.resources is None else self.measured.resources.value(name)

    def saying(self, following: str) -> "Attempt":
        """The same with what followed from it."""
        return replace(self, reason=f"{self.verdict.headline} {following}".strip())


@dataclass(frozen=True)
class Climb:
    """All attempts for one device, the one that goes to the gates, whether it held on validation, and why this one."""

    attempts: tuple[Attempt, ...]
    chosen: Attempt
    held: bool
    why: tuple[str, ...] = ()


def attempt(references: References, snapshot: Model, rung: Rung) -> Attempt:
    """Make a file, measure it on the device over the validation rows, and hold it against the gates."""
    job, device = references.job, references.device
    file = make_file(job, references.parent, snapshot, rung, saturates=device.saturates)
    measured = measure_for(job, references.parent, device, file.path, "validation")
    verdict = decide(job.recipe.search_policy(device), _searched(references, file, snapshot, measured))
    return Attempt(snapshot, rung.title, file, measured, verdict, file.seconds, verdict.headline)


def float_failures(references: References, snapshot: Model) -> tuple[str, ...]:
    """The gates on answers that a float model fails itself on validation, whatever its file."""
    job = references.job
    gates = job.recipe.answer_gates
    if not gates:
        return ()
    answers = ModelEvidence(answer_rows(job, "validation", snapshot.validation_outputs), resources=None)
    verdict = decide(GatePolicy(gates=gates), references.beside(answers, "validation"))
    return tuple(gate.name for gate in verdict.gates if gate.blocking and gate.outcome == "fail")


def closest(attempts: list[Attempt]) -> Attempt:
    """The attempt with the fewest gates missed, then the best accuracy: what comes closest tells most."""
    return max(attempts, key=lambda tried: (-len(tried.missed), tried.accuracy or 0.0))


def _searched(references: References, file: ModelFile, snapshot: Model, seen: ModelEvidence) -> Evidence:
    evidence = references.beside(seen, "validation")
    return replace(evidence, parity=parity(references, file, snapshot, "validation"))

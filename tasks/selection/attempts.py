"""Attempts: a rung tried on a model, with its file, its measurement on validation and what the gates say there."""

from dataclasses import dataclass, replace
from typing import Protocol

from deployments.rungs import Rung
from edge_runtime.measurement import Figures
from quality_gates.evidence import ModelEvidence
from quality_gates.gates import decide
from quality_gates.policy import GatePolicy
from quality_gates.verdict import Verdict
from tasks.compression import ModelFile, Snapshot, Student, expected_file, make_file
from tasks.measurement import answer_rows, measure_for, measure_on
from tasks.selection.parity_runs import parity
from tasks.selection.reference_models import References

Model = Snapshot | Student


@dataclass(frozen=True)
class Attempt:
    """A rung tried on a model, on validation; `reason` says what came of it and what followed."""

    snapshot: Model
    rung: Rung
    file: ModelFile
    measured: ModelEvidence
    verdict: Verdict
    reason: str

    @property
    def title(self) -> str:
        """The name of its file in reports."""
        return f"{self.rung.title}, {self.snapshot.title}"

    @property
    def seconds(self) -> float:
        """The time that making its file took."""
        return self.file.seconds

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
        return {gate.name for gate in self.verdict.blocking}

    @property
    def misses_resources_only(self) -> bool:
        """Whether a smaller model could help: budgets are missed, accuracy holds."""
        return {gate.kind for gate in self.verdict.blocking} == {"limit"}

    def figure(self, name: str) -> float | None:
        """Return accuracy, or a resource figure by its name; None where it was not measured."""
        if name == "accuracy":
            return self.accuracy
        return None if self.measured.resources is None else self.measured.resources.value(name)

    def saying(self, following: str) -> "Attempt":
        """Return the same with what followed from it."""
        return replace(self, reason=f"{self.verdict.headline} {following}".strip())


@dataclass(frozen=True)
class Climb:
    """All attempts for one device, the one that goes to the gates, whether it held on validation, and the reasons."""

    attempts: tuple[Attempt, ...]
    chosen: Attempt
    held: bool
    why: tuple[str, ...] = ()


class Trials(Protocol):
    """A source of attempts: it makes and measures files for one device."""

    def attempt(self, model: Model, rung: Rung) -> Attempt:
        """Make a file, measure it, and hold it against the gates. Raises QuantizationError."""

    def float_failures(self, model: Model) -> tuple[str, ...]:
        """Return the gates on answers that a float model fails itself, whatever its file."""

    def expected(self, model: Model) -> Figures | None:
        """Return the resources of a model's cheapest INT8 file; None where they could not be measured."""


@dataclass(frozen=True)
class DeviceTrials:
    """Attempts with real files, measured on the device over the validation rows."""

    references: References

    def attempt(self, model: Model, rung: Rung) -> Attempt:
        """Make a file, measure it on the device, and hold it against the gates. Raises QuantizationError."""
        context = self.references.context
        file = make_file(context, model, rung)
        measured = measure_for(context, file.path, "validation")
        evidence = replace(
            self.references.beside(measured, "validation"), parity=parity(context, file, model, "validation")
        )
        verdict = decide(context.job.recipe.search_policy(context.device), evidence)
        return Attempt(model, rung, file, measured, verdict, verdict.headline)

    def float_failures(self, model: Model) -> tuple[str, ...]:
        """Return the gates on answers that a float model fails itself, whatever its file."""
        job = self.references.context.job
        gates = job.recipe.answer_gates
        if not gates:
            return ()
        answers = ModelEvidence(answer_rows(job, "validation", model.validation_outputs), resources=None)
        verdict = decide(GatePolicy(gates=gates), self.references.beside(answers, "validation"))
        return tuple(gate.name for gate in verdict.blocking if gate.outcome == "fail")

    def expected(self, model: Model) -> Figures | None:
        """Return the resources of a model's cheapest INT8 file; None where they could not be measured."""
        context = self.references.context
        file = expected_file(context, model, reduce_range=context.device.saturates)
        return measure_on(context, file.path, "validation").resources


def closest(attempts: list[Attempt]) -> Attempt:
    """Return the attempt with the fewest gates missed, then the best accuracy: what comes closest tells most."""
    return max(attempts, key=lambda tried: (-len(tried.missed), tried.accuracy or 0.0))

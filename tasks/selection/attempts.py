"""Attempts: a rung tried on a model, with its file, its measurement on validation and the verdict there.

The gates hold it against the reference models: the parent, and the edge model that is deployed now.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from deployments.rows import TASK
from deployments.rungs import Rung
from deployments.workload import SplitName
from edge_runtime.measurement import Figures
from quality_gates.evidence import Evidence, ModelEvidence, Unanswered
from quality_gates.gates import GatePolicy, decide
from quality_gates.verdict import Verdict
from tasks.compression import Baseline, ModelFile, Snapshot, Student, expected_file, float_file, make_file
from tasks.errors import AnchorLost, SystemFailure
from tasks.measurement import Role, answer_rows, compared_in_turns, measure_for, measure_on
from tasks.registry import Anchor, EdgeVersion
from tasks.selection.parity_runs import parity
from tasks.upstream import DeviceContext

Model = Snapshot | Student
DEPLOYED = "the alias `deployed`"


@dataclass(frozen=True)
class References:
    """The models to compare with on one device: the parent, and the reference, the last release that passed.

    The `anchor` is the release that cumulative margins are held against, known where a gate asks for it. `anchor_lost`
    says why the gates against it are undecided, where it cannot be told or its file is gone. `deployed` is
    what the candidate would replace. It differs from the reference where a person released it against its gates.
    `held_against` is the number of the release that is deployed, which publication compares with.
    """

    context: DeviceContext
    parent_file: Path
    deployed: EdgeVersion | None = None
    held_against: int | None = None
    reference: EdgeVersion | None = None
    reference_file: Path | None = None
    reference_failure: str | None = None
    anchor: Anchor | None = None
    anchor_file: Path | None = None
    anchor_lost: Unanswered | None = None

    def beside(self, candidate: ModelEvidence, split: SplitName) -> Evidence:
        """Return a candidate's measurement with those of its references on the same rows, measured by the same code.

        The float parent answers on this machine, as upstream knows it; the reference answers as on the device.
        """
        parent = measure_on(self.context, self.parent_file, split)
        return self._laid(
            candidate,
            parent,
            self._release(self.reference, self.reference_file, self.reference_failure, split),
            self._anchor(split),
            split,
        )

    def without_rows(self, candidate: ModelEvidence, split: SplitName, withheld: Unanswered) -> Evidence:
        """Return the evidence of a split whose rows may not be looked at: the resources alone, as they are known."""
        parent = measure_on(self.context, self.parent_file, "validation")
        blind = self._laid(_rowless(candidate), _rowless(parent), None, None, split)
        return replace(blind, withheld=withheld)

    def _laid(
        self, candidate: ModelEvidence, parent: ModelEvidence, deployed: ModelEvidence | None,
        anchor: ModelEvidence | Unanswered | None, split: SplitName,
    ) -> Evidence:  # fmt: skip
        job = self.context.job
        return Evidence(
            candidate, parent, deployed, functions=job.functions, classes=job.classes, split=split, anchor=anchor,
            group=job.workload.group, task=TASK if job.recipe.members else None,
        )  # fmt: skip

    def files(self, candidate: Path) -> dict[Role, Path]:
        """Return the files that are timed beside each other: the candidate's, the parent's, and the reference's."""
        files: dict[Role, Path] = {"candidate": candidate, "parent": self.parent_file}
        return files if self.reference_file is None else files | {"deployed": self.reference_file}

    def _release(
        self, release: EdgeVersion | None, file: Path | None, failure: str | None, split: SplitName
    ) -> ModelEvidence | None:
        if release is None:
            return None
        if file is None:
            return ModelEvidence(rows=None, resources=None, failure=failure, interrupted=True)
        return measure_for(self.context, file, split)

    def _anchor(self, split: SplitName) -> ModelEvidence | Unanswered | None:
        if self.anchor_file is None:
            return self.anchor_lost
        return measure_for(self.context, self.anchor_file, split)


def _rowless(model: ModelEvidence) -> ModelEvidence:
    return replace(model, rows=None)


def references(context: DeviceContext, baseline: Baseline) -> References:
    """Find the models to compare with on a device class; a damaged file leaves the gates against it undecided."""
    models, device = context.edge_models, context.device.name
    now = models.deployed(device)
    is_own = now is not None and now.run_key == context.key
    # A killed run had got as far as the alias: it replaces the same model as then, and is not its own reference.
    deployed = models.previous(device) if is_own else now
    own = now.release if now is not None and is_own else None
    reference = models.reference(device, without=own)
    held_against = None if now is None else now.release
    file, failure = _file_of(context, reference)
    return References(
        context, baseline.onnx, deployed, held_against, reference, file, failure, *_anchor_of(context, own)
    )


def _anchor_of(context: DeviceContext, own: int | None) -> tuple[Anchor | None, Path | None, Unanswered | None]:
    """Return the anchor and its file where a gate asks for it, or why it cannot be compared with."""
    if not context.job.recipe.asks_for_anchor:
        return None, None, None
    try:
        anchor = context.edge_models.anchor(context.device.name, without=own)
    except AnchorLost as error:
        return None, None, Unanswered(error.reason, error.remedy)
    if anchor is None:
        return None, None, None
    file, failure = _file_of(context, anchor.edge, "the anchor")
    where = f"{context.job.model} {context.device.name}"
    remedy = f"Restore its file, or name another: edgewright anchor set {where} RELEASE --by NAME --reason TEXT."
    return anchor, file, None if failure is None else Unanswered(f"{failure}.", remedy)


def _file_of(
    context: DeviceContext, release: EdgeVersion | None, named_by: str = DEPLOYED
) -> tuple[Path | None, str | None]:
    """Return a release's file, or the reason why it could not be fetched; neither where there is no release."""
    if release is None:
        return None, None
    try:
        return release_file(context, release, named_by), None
    except SystemFailure as error:
        return None, str(error)


def release_file(context: DeviceContext, edge: EdgeVersion, named_by: str = DEPLOYED) -> Path:
    """Return the file of a release out of the store, where it is fetched to once. Raises SystemFailure."""

    def produce(folder: Path) -> str:
        return str(context.edge_models.fetch(edge, folder, named_by).relative_to(folder))

    stage = context.store.run("release-file", {"file": edge.file_sha256}, (__name__,), produce)
    return stage.folder / str(stage.value)


@dataclass(frozen=True)
class Attempt:
    """A rung tried on a model, on validation; `reason` tells the result and the next step in a sentence."""

    snapshot: Model
    rung: Rung
    file: ModelFile
    measured: ModelEvidence
    verdict: Verdict
    reason: str

    @property
    def title(self) -> str:
        """The name of its file in reports."""
        return f"{self.rung.title}{self.islands}, {self.snapshot.title}"

    @property
    def islands(self) -> str:
        """The number of layers that stay in float for speed, in words; empty where none does."""
        count = len(self.file.in_float)
        return f" with {count} {'layer' if count == 1 else 'layers'} in float" if count else ""

    @property
    def seconds(self) -> float:
        """The time that making its file took."""
        return self.file.seconds

    @property
    def accuracy(self) -> float | None:
        """Validation accuracy."""
        return None if self.measured.rows is None else float(self.measured.rows["score"].mean(skipna=False))

    @property
    def size_bytes(self) -> int:
        """Bytes of the file."""
        return self.file.size_bytes

    @property
    def missed(self) -> set[str]:
        """The gates that do not hold, by name."""
        return {gate.name for gate in self.verdict.blocking}

    @property
    def misses_resources_only(self) -> bool:
        """True where a smaller model could help: budgets are missed, accuracy holds."""
        return {gate.kind for gate in self.verdict.blocking} == {"limit"}

    def figure(self, name: str) -> float | None:
        """Return accuracy, or a resource figure by its name; None where it was not measured."""
        if name == "accuracy":
            return self.accuracy
        return None if self.measured.resources is None else self.measured.resources.value(name)

    def saying(self, following: str) -> "Attempt":
        """Return a copy whose reason names the next step."""
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
        """Make a file, measure it, and decide the gates on validation. Raises QuantizationError."""

    def float_failures(self, model: Model) -> tuple[str, ...]:
        """Return the gates on answers that the float model itself fails, whatever its file."""

    def expected(self, model: Model) -> Figures | None:
        """Return the resources of a model's cheapest INT8 file; None where they could not be measured."""

    def in_turns(self, tried: Attempt) -> tuple[float, float] | None:
        """Return median milliseconds of a file and its float file, timed in turns; None where they do not compare."""


@dataclass(frozen=True)
class DeviceTrials:
    """Attempts with real files, measured on the device over the validation rows."""

    references: References

    def attempt(self, model: Model, rung: Rung) -> Attempt:
        """Make a file, measure it on the device, and decide the gates on validation. Raises QuantizationError."""
        context = self.references.context
        file = make_file(context, model, rung)
        measured = measure_for(context, file.path, "validation")
        evidence = replace(
            self.references.beside(measured, "validation"), parity=parity(context, file, model, "validation")
        )
        verdict = decide(context.job.recipe.search_policy(context.device), evidence)
        return Attempt(model, rung, file, measured, verdict, verdict.headline)

    def float_failures(self, model: Model) -> tuple[str, ...]:
        """Return the gates on answers that the float model itself fails, whatever its file."""
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
        file = expected_file(context, model)
        return measure_on(context, file.path, "validation").resources

    def in_turns(self, tried: Attempt) -> tuple[float, float] | None:
        """Return median milliseconds of a file and its float file, timed in turns; None where they do not compare."""
        context = self.references.context
        files: dict[Role, Path] = {"candidate": tried.file.path, "float": float_file(context, tried.snapshot).path}
        timed = compared_in_turns(context, files, "validation")
        return None if timed is None else (timed["candidate"].latency_p50_ms, timed["float"].latency_p50_ms)


def closest(attempts: list[Attempt]) -> Attempt:
    """Return the attempt with the fewest gates missed; among equals, the most accurate one."""
    return max(attempts, key=lambda tried: (-len(tried.missed), accuracy_or_worst(tried)))


def accuracy_or_worst(tried: Attempt) -> float:
    """Return an attempt's accuracy; minus infinity where it has none, as a score that is an error is below 0."""
    return -math.inf if tried.accuracy is None or math.isnan(tried.accuracy) else tried.accuracy

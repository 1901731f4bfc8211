"""Evidence: the measurements of each model, which are all that a decision may look at."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import pandas as pd

from edge_runtime.measurement import Figures
from quality_gates.errors import EvidenceError, UnansweredError
from quality_gates.evidence.checked_rows import MEASURE_AGAIN, check_right_or_wrong, check_rows, is_reserved, paired
from quality_gates.evidence.slices import SliceIndex
from quality_gates.policy import ParityCheck, Reference

RowsMetric: TypeAlias = Callable[[pd.DataFrame], float]


@dataclass(frozen=True)
class BatchLatency:
    """Latency of a number of rows that are predicted at a time."""

    batch_size: int
    latency_p50_ms: float
    latency_p99_ms: float


@dataclass(frozen=True)
class ParityMeasurement:
    """The candidate run in two ways on the same rows.

    `largest` is the largest difference of an output as a share of the largest output, `differing` the rows whose answer
    differs. `failure` is a sentence where one of the two did not run.
    """

    check: ParityCheck
    rows: int
    differing: int
    largest: float
    failure: str | None = None


@dataclass(frozen=True)
class Unanswered:
    """The reason why answers could not be taken on the device's CPU, and what to do, each in a sentence."""

    reason: str
    remedy: str


@dataclass(frozen=True, eq=False)
class ModelEvidence:
    """One model, measured: rows (row_id, prediction, score, slice columns), resource figures, or why it failed.

    `file_sha256` is the digest of the model that was measured, taken by the process that loaded it.

    Rows may have more that metrics need: target, confidence and p(k). `batches` is the
    latency of several rows at a time, where a gate asks for it.

    `failure` is a sentence when the measurement crashed or ran out of time; whatever else is there then counts for
    nothing. `answered_on` names the CPU that the answers are from; `unanswered` says why there are none although the
    model runs here, so that its resources still count.
    """

    rows: pd.DataFrame | None
    resources: Figures | None
    failure: str | None = None
    answered_on: str | None = None
    unanswered: Unanswered | None = None
    batches: tuple[BatchLatency, ...] = ()
    file_sha256: str | None = None

    def measured_rows(self, whose: str) -> pd.DataFrame:
        """Return the checked rows, or raise EvidenceError."""
        self._check_not_failed(whose)
        self.check_answered(whose)
        if self.rows is None:
            raise EvidenceError(f"The {whose} was not measured row by row.", MEASURE_AGAIN)
        check_rows(self.rows, whose)
        return self.rows

    def measured_resources(self, whose: str) -> Figures:
        """Return the resource figures, or raise EvidenceError."""
        self._check_not_failed(whose)
        if self.resources is None:
            raise EvidenceError(f"The {whose}'s resources were not measured.", MEASURE_AGAIN)
        return self.resources

    def check_answered(self, whose: str) -> None:
        """Raise UnansweredError where the answers could not be taken on the device's CPU."""
        if self.unanswered is not None:
            raise UnansweredError(f"The {whose} was not answered: {self.unanswered.reason}", self.unanswered.remedy)

    def _check_not_failed(self, whose: str) -> None:
        if self.failure is not None:
            raise EvidenceError(f"The measurement of the {whose} failed: {self.failure}", MEASURE_AGAIN)


class FoundDifference(Protocol):
    """One comparison of a set of rows with the deployment sites."""

    @property
    def outcome(self) -> str:
        """One of alike, differs and undecided."""

    @property
    def sentence(self) -> str:
        """The finding in words, where it differs."""


class ComparedRows(Protocol):
    """Comparisons of the rows that were trained and calibrated with with those of the deployment sites."""

    @property
    def comparisons(self) -> Sequence[FoundDifference]:
        """All comparisons."""


@dataclass(frozen=True, eq=False)
class PairedRows:
    """The rows of the candidate and one reference side by side, with their slices."""

    rows: pd.DataFrame
    index: SliceIndex

    @property
    def slice_columns(self) -> tuple[str, ...]:
        """The columns that say what kind of row it is."""
        return tuple(str(column) for column in self.rows.columns if not is_reserved(column))

    def check_right_or_wrong(self, against: str) -> None:
        """Raise EvidenceError unless both models' scores are 0 or 1."""
        for whose, side in (("candidate", "candidate"), (f"{against} model", "reference")):
            check_right_or_wrong(self.rows[[f"{side}_score"]].set_axis(["score"], axis=1), whose)


@dataclass(frozen=True, eq=False)
class Evidence:
    """All that a decision may look at. `deployed=None` means that nothing is deployed yet: a first deployment.

    `validation` is the same on the validation rows, for gates that search there; `parity` the candidate run in several
    ways; `functions` the custom metrics by the name that the policy has for them.
    """

    candidate: ModelEvidence
    parent: ModelEvidence | None
    deployed: ModelEvidence | None
    validation: "Evidence | None" = None
    parity: tuple[ParityMeasurement, ...] = ()
    representativeness: ComparedRows | None = None
    functions: Mapping[str, RowsMetric] = field(default_factory=dict)
    _laid: dict[str, PairedRows | EvidenceError] = field(default_factory=dict, init=False, repr=False)

    def beside(self, against: Reference) -> PairedRows | None:
        """Lay candidate and reference side by side, once for all gates; None where nothing is deployed.

        Raises EvidenceError.
        """
        if against == "parent":
            return self.beside_parent()
        if self.deployed is None:
            self.candidate.measured_rows("candidate")
            return None
        return self._once(against, self.deployed)

    def beside_parent(self) -> PairedRows:
        """Lay candidate and parent side by side; there always is a parent. Raises EvidenceError."""
        if self.parent is None:
            raise EvidenceError("The parent model was not measured.", "Measure the parent on the test rows.")
        return self._once("parent", self.parent)

    def alone(self) -> PairedRows:
        """Lay the candidate beside itself, for gates that compare it with nothing. Raises EvidenceError."""
        return self._once("candidate", self.candidate)

    def _once(self, name: str, reference: ModelEvidence) -> PairedRows:
        if name not in self._laid:
            self._laid[name] = _laid(self.candidate, reference, name)
        laid = self._laid[name]
        if isinstance(laid, EvidenceError):
            raise laid
        return laid


def _laid(candidate: ModelEvidence, reference: ModelEvidence, against: str) -> PairedRows | EvidenceError:
    name = "candidate" if reference is candidate else f"{against} model"
    try:
        rows = paired(candidate.measured_rows("candidate"), reference.measured_rows(name), name)
    except EvidenceError as error:
        return error
    return PairedRows(rows, SliceIndex(rows))

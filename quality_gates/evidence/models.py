"""Evidence: the measurements of each model, which are all that a decision may look at."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from edge_runtime.measurement import Figures
from quality_gates.errors import EvidenceError, UnansweredError, UnsettledError
from quality_gates.evidence.checked_rows import (
    MEASURE_AGAIN,
    check_right_or_wrong,
    check_rows,
    check_varied,
    is_reserved,
    paired,
)
from quality_gates.evidence.classes import KnownClasses
from quality_gates.evidence.comparable_latency import LatencyInTurns
from quality_gates.evidence.groups import RowGroups
from quality_gates.evidence.repeated_figures import RepeatedFigures
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
    differs. `failure` is a sentence where one of the two did not run, `interrupted` as in ModelEvidence.
    """

    check: ParityCheck
    rows: int
    differing: int
    largest: float
    failure: str | None = None
    interrupted: bool = False


@dataclass(frozen=True)
class Unanswered:
    """The reason why answers cannot be had, such as those of the device's CPU, and what to do, each in a sentence."""

    reason: str
    remedy: str


@dataclass(frozen=True)
class AnsweringCpu:
    """The CPU that answered the rows: its name, its instruction set, and the instruction set of the device.

    `instruction_set` is None for a CPU of a class that no device profile names.
    """

    name: str
    instruction_set: str | None
    of_device: str

    @property
    def is_proven(self) -> bool:
        """True where the device's own instruction set answered."""
        return self.instruction_set == self.of_device

    @property
    def set_in_words(self) -> str:
        """Name of the instruction set that answered."""
        return self.instruction_set or "a set that no profile names"

    def __str__(self) -> str:
        """Write the instruction set, and the device's where it is another one."""
        return self.set_in_words + ("" if self.is_proven else f", not the device's {self.of_device}")


@dataclass(frozen=True, eq=False)
class ModelEvidence:
    """One model, measured: rows (row_id, prediction, score, slice columns), resource figures, or why it failed.

    `file_sha256` is the digest of the model that was measured, taken by the process that loaded it.

    Rows may have more that metrics need: target, confidence and p(k). `batches` is the
    latency of several rows at a time, where a gate asks for it.

    `failure` is a sentence when the measurement crashed or ran out of time; whatever else is there then counts for
    nothing. `interrupted` is set where something outside the model ended it, such as a kill or a full disk: that says
    nothing about the model, which is measured again. `answered_on` is the CPU that the answers are from; `unanswered`
    says why there are none although the model runs here, so that its resources still count. `file_sha256` names the
    file that was measured.
    """

    rows: pd.DataFrame | None
    resources: Figures | None
    failure: str | None = None
    answered_on: AnsweringCpu | None = None
    unanswered: Unanswered | None = None
    batches: tuple[BatchLatency, ...] = ()
    file_sha256: str | None = None
    interrupted: bool = False
    _sound: set[str] = field(default_factory=set, init=False, repr=False)  # whose rows were checked: once for all gates

    def measured_rows(self, whose: str) -> pd.DataFrame:
        """Return the checked rows, of answers that vary, or raise EvidenceError."""
        self._check_not_failed(whose)
        self.check_answered(whose)
        if self.rows is None:
            raise EvidenceError(f"The {whose} was not measured row by row.", MEASURE_AGAIN)
        if whose not in self._sound:
            check_rows(self.rows, whose)
            check_varied(self.rows, whose)
            self._sound.add(whose)
        return self.rows

    def measured_resources(self, whose: str) -> Figures:
        """Return the resource figures, or raise EvidenceError."""
        self._check_not_failed(whose)
        if self.resources is None:
            raise EvidenceError(f"The {whose}'s resources were not measured.", MEASURE_AGAIN)
        return self.resources

    def answering_cpu(self, whose: str) -> AnsweringCpu:
        """Return the CPU that answered, or raise EvidenceError."""
        if self.answered_on is None:
            raise EvidenceError(f"The CPU that answered for the {whose} was not recorded.", MEASURE_AGAIN)
        return self.answered_on

    @property
    def right_or_wrong(self) -> bool:
        """True unless there are rows whose score is neither 0 nor 1: their mean is then no share of rows."""
        return self.rows is None or bool(self.rows["score"].isin((0, 1)).all())

    def check_answered(self, whose: str) -> None:
        """Raise UnansweredError where the answers could not be taken on the device's CPU."""
        if self.unanswered is not None:
            raise UnansweredError(f"The {whose} was not answered: {self.unanswered.reason}", self.unanswered.remedy)

    def check_answers(self, whose: str) -> None:
        """Raise EvidenceError where the answers could not be taken or do not vary; a model without rows has none."""
        self.check_answered(whose)
        if self.rows is not None:
            self.measured_rows(whose)

    def _check_not_failed(self, whose: str) -> None:
        if self.failure is not None:
            kind, ended = (UnsettledError, "was interrupted") if self.interrupted else (EvidenceError, "failed")
            raise kind(f"The measurement of the {whose} {ended}: {self.failure}", MEASURE_AGAIN)


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
    """The rows of the candidate and one reference side by side, with their slices.

    `group` is the column whose values mark rows that belong together; None where rows are independent. `task` is the
    column that names what a row asks, of a family of models; None for one model.
    """

    rows: pd.DataFrame
    index: SliceIndex
    group: str | None = None
    task: str | None = None
    _right_or_wrong: set[str] = field(default_factory=set, init=False, repr=False)

    @property
    def slice_columns(self) -> tuple[str, ...]:
        """The columns that say what kind of row it is; the group's says whose it is."""
        return tuple(str(column) for column in self.rows.columns if not is_reserved(column) and column != self.group)

    def groups(self, mask: npt.NDArray[np.bool_]) -> RowGroups | None:
        """Return the groups of the rows of a mask (rows,), None where rows are independent.

        Raises EvidenceError for rows without a group.
        """
        return None if self.group is None else RowGroups.of(self.index.groups(self.group)[mask])

    def check_right_or_wrong(self, against: str, mask: npt.NDArray[np.bool_] | None = None) -> None:
        """Raise EvidenceError unless both models' scores are 0 or 1 on all rows of the task, or tasks, of a mask."""
        rows = self.rows if mask is None else self.alike(mask)
        key = f"{against} {len(rows)} {rows.index[0]}"
        if key in self._right_or_wrong:
            return
        for whose, side in (("candidate", "candidate"), (f"{against} model", "reference")):
            check_right_or_wrong(rows[[f"{side}_score"]].set_axis(["score"], axis=1), whose)
        self._right_or_wrong.add(key)

    def alike(self, mask: npt.NDArray[np.bool_]) -> pd.DataFrame:
        """Return all rows that ask what the rows of a mask (rows,) ask: those of the same tasks, else all rows."""
        if self.task is None:
            return self.rows
        asked: pd.DataFrame = self.rows[self.rows[self.task].isin(self.rows[self.task][mask].unique())]
        return asked


@dataclass(frozen=True, eq=False)
class Evidence:
    """All that a decision may look at. `deployed=None` means that nothing is deployed yet: a first deployment.

    `validation` is the same on the validation rows, for gates that search there; `parity` the candidate run in several
    ways; `functions` the custom metrics by the name that the policy has for them; `classes` those that other splits
    name, so that one without a test row is missed; `turns` the times of the models beside each other, one record for
    each number of rows at a time; `repeated` the candidate's figures in fresh processes. `split` is where all these
    rows are from. `anchor` is the release that cumulative margins are held against, or why it cannot be told; None
    where there is none yet or no gate asks for it. `withheld` says why no answers of these rows may be looked at, and
    what to do. `group` is the column whose values mark rows that belong together, which every bound then counts in
    place of rows. `task` is the column that names what a row asks, where the models are families.
    """

    candidate: ModelEvidence
    parent: ModelEvidence | None
    deployed: ModelEvidence | None
    validation: "Evidence | None" = None
    parity: tuple[ParityMeasurement, ...] = ()
    representativeness: ComparedRows | None = None
    functions: Mapping[str, RowsMetric] = field(default_factory=dict)
    classes: KnownClasses = field(default_factory=KnownClasses)
    turns: tuple[LatencyInTurns, ...] = ()
    repeated: tuple[RepeatedFigures, ...] = ()
    split: str = "test"
    anchor: ModelEvidence | Unanswered | None = None
    withheld: Unanswered | None = None
    group: str | None = None
    task: str | None = None
    _laid: dict[str, PairedRows | EvidenceError] = field(default_factory=dict, init=False, repr=False)

    def beside(self, against: Reference) -> PairedRows | None:
        """Lay candidate and reference side by side, once for all gates; None where no release is the reference yet.

        Raises EvidenceError.
        """
        if against == "parent":
            return self.beside_parent()
        release = self.anchor if against == "anchor" else self.deployed
        if release is None:
            self.candidate.measured_rows("candidate")
            return None
        if isinstance(release, Unanswered):
            raise UnsettledError(release.reason, release.remedy)
        return self._once(against, release)

    def check_open(self) -> None:
        """Raise UnansweredError where the rows may not be looked at."""
        if self.withheld is not None:
            raise UnansweredError(self.withheld.reason, self.withheld.remedy)

    def beside_parent(self) -> PairedRows:
        """Lay candidate and parent side by side; there always is a parent. Raises EvidenceError."""
        if self.parent is None:
            raise EvidenceError("The parent model was not measured.", "Measure the parent on the test rows.")
        return self._once("parent", self.parent)

    def alone(self) -> PairedRows:
        """Lay the candidate beside itself, for gates that compare it with nothing. Raises EvidenceError."""
        return self._once("candidate", self.candidate)

    def disturbance(self, resource: str, batch_size: int) -> str | None:
        """Return in words why the candidate's time says more about the machine than about it; None where it counts."""
        turns = next((each for each in self.turns if each.batch_size == batch_size), None)
        seen = None if turns is None else turns.disturbance(resource)
        repeated = self._repeated(batch_size)
        return seen or (None if repeated is None else repeated.disturbances.get(resource))

    def repeats(self, resource: str, batch_size: int) -> tuple[float, ...]:
        """Return the candidate's figure in each process that measured it; empty where it was not measured again."""
        repeated = self._repeated(batch_size)
        return () if repeated is None else repeated.values.get(resource, ())

    def _repeated(self, batch_size: int) -> RepeatedFigures | None:
        return next((each for each in self.repeated if each.batch_size == batch_size), None)

    def _once(self, name: str, reference: ModelEvidence) -> PairedRows:
        if name not in self._laid:
            self._laid[name] = _laid(self.candidate, reference, name, self)
        laid = self._laid[name]
        if isinstance(laid, EvidenceError):
            raise laid
        return laid


def _laid(
    candidate: ModelEvidence, reference: ModelEvidence, against: str, evidence: Evidence
) -> PairedRows | EvidenceError:
    name = "candidate" if reference is candidate else f"{against} model"
    try:
        rows = paired(candidate.measured_rows("candidate"), reference.measured_rows(name), name)
    except EvidenceError as error:
        return error
    return PairedRows(rows, SliceIndex(rows, evidence.split), evidence.group, evidence.task)

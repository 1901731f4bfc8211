"""The gate on slices that nobody named: searched for on the validation rows, tested on the test rows.

The search is in the spirit of Slice Finder (Chung Y and others. Automated data slicing for model validation. ICDE
2019), but on the paired loss of a candidate against a reference, and says nothing about significance: the regions that
it finds are tested on other rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import Field

from quality_gates.errors import EmptySliceError, EvidenceError
from quality_gates.evidence import Evidence, PairedRows, SliceIndex
from quality_gates.gates import figures_in_words as in_words
from quality_gates.gates.kind import Demand, GateKind, Shown
from quality_gates.gates.planning import ONLY_SHOWN, PlanLine, PlannedRows
from quality_gates.policy import Confidence, Name, Reference, Share, SliceCondition
from quality_gates.statistics import grouped_p_value, holm, p_value, score_interval
from quality_gates.verdict import GateResult

Floats: TypeAlias = npt.NDArray[np.float64]
FEW_VALUES = 12  # a column of numbers with no more of them is read as names
COARSE, FINE = (4, 10), (50,)  # quantile bins; the fine ones only by themselves, not in pairs
SAME = 0.8


class FoundSlices(GateKind):
    """No region of the data that nobody named is shown to have lost more than a margin.

    The validation rows are searched for the weakest regions: single values, bins of numbers, pairs of columns. The test
    rows decide about each of them. The regions are chosen without a look at the scores of the test rows, so the search
    needs no correction of its own; Holm's is for the number of regions carried over (Scandinavian Journal of Statistics
    1979;6:65-70).
    """

    kind: Literal["found_slices"] = "found_slices"
    name: Name
    """The gate's own name."""
    against: Reference
    """The model that the candidate is compared with: the parent, or the one that is deployed now."""
    columns: tuple[str, ...] | None = Field(default=None, min_length=1)
    """The slice columns that are searched; all of them where it is left out."""
    min_rows: int = Field(strict=True, ge=2)
    """The fewest rows that a region has, on validation and on test."""
    carried: int = Field(strict=True, ge=1)
    """The number of the weakest regions on validation that are tested on the test rows."""
    margin: Share
    """The largest loss of accuracy in a region that is allowed, such as 0.1 for ten percentage points."""
    confidence: Confidence
    """The confidence, for all regions together, at which a larger loss must be shown."""

    decides_once: ClassVar[bool] = True

    @classmethod
    def shown(cls) -> Shown:
        """Show the gain in the worst region; it must lie above -margin."""
        return Shown(difference=True, allowed="above")

    @property
    def by_answers(self) -> bool:
        """False: it needs the answers on two splits."""
        return False

    @property
    def demand(self) -> Demand:
        """That no fault is shown: few rows show none."""
        return "no_finding"

    @property
    def heading(self) -> str:
        """The reference."""
        return f"Slices that nobody named, against the {self.against} model"

    @property
    def facts(self) -> dict[str, Any]:
        """Reference, margin and confidence."""
        return {
            "against": self.against,
            "metric": "accuracy",
            "threshold": -self.margin,
            "margin": self.margin,
            "confidence": self.confidence,
        }

    def plan(self, test: PlannedRows, /) -> PlanLine:
        """Need no number of rows to pass."""
        return PlanLine(self.name, len(test.rows), None, ONLY_SHOWN.format("loss"))

    def decide(self, evidence: Evidence) -> GateResult:
        """Fail when a region is shown to have lost more than the margin, at `confidence` for all of them."""
        test = evidence.beside(self.against)
        if test is None:
            evidence.alone().check_right_or_wrong("candidate")
            return self.not_applicable()
        searched = None if evidence.validation is None else evidence.validation.beside(self.against)
        if searched is None:
            raise EvidenceError("The validation rows of both models are missing.", "Measure both models on them too.")
        for rows in (searched, test):
            rows.check_right_or_wrong(self.against)
        _check_no_row_twice(searched, test)
        columns = self.columns or searched.slice_columns
        if not columns:
            raise EvidenceError("The rows have no slice column to search.", "Let the workload describe its rows.")
        loss = (searched.rows["reference_score"] - searched.rows["candidate_score"]).to_numpy()
        regions = weakest(
            searched.index, columns, loss, min_rows=self.min_rows, margin=self.margin, most=self.carried * 3
        )
        looked = f"searched {', '.join(columns)} on {in_words.rows(len(searched.rows))} of validation"
        return self._held(self._tested(regions, test), looked, len(test.rows))

    def _tested(self, regions: Sequence["Region"], test: PairedRows) -> list["_Tested"]:
        """Test the first regions that have rows enough in test: its numbers of rows, unlike its scores, may choose."""
        seen: list[_Tested] = []
        for region in regions:
            mask = _rows_of(test, region.condition)
            if mask is not None and mask.sum() >= self.min_rows and len(seen) < self.carried:
                candidate = test.rows["candidate_score"].to_numpy()[mask] == 1
                reference = test.rows["reference_score"].to_numpy()[mask] == 1
                gained, lost = int((candidate & ~reference).sum()), int((reference & ~candidate).sum())
                groups = test.groups(mask)
                if groups is None:
                    p = p_value(lost, gained, len(candidate), self.margin)
                else:
                    p = grouped_p_value(reference.astype(float) - candidate.astype(float), groups, self.margin)
                seen.append(_Tested(region, len(candidate), gained, lost, p))
        seen.sort(key=lambda one: (one.p, str(one.region.condition)))
        return [replace(one, p=p) for one, p in zip(seen, holm([one.p for one in seen]), strict=True)]

    def _held(self, tested: Sequence["_Tested"], looked: str, test: int) -> GateResult:
        shown = [one for one in tested if one.p <= 1 - self.confidence]
        if not tested:
            none = f"no region of {self.min_rows} rows or more lost more than the margin there"
            return self.concluded("pass", f"{self.heading}: {looked}; {none}.", lambda: "", n=test)
        worst = tested[0]
        lower, upper = score_interval(worst.gained, worst.lost, worst.n, 1 - (1 - self.confidence) / len(tested))
        said = f"{len(shown)} of {len(tested)} regions carried to test are shown to have lost more"
        return self.concluded(
            "fail" if shown else "pass",
            f"{self.heading}: {looked}; {said} than {100 * self.margin:g} points. {worst}.",
            lambda: _remedy(shown),
            findings=tuple(map(str, tested)),
            slice=str(worst.region.condition),
            n=worst.n,
            gained=worst.gained,
            lost=worst.lost,
            estimate=-worst.loss,
            lower=lower,
            upper=upper,
        )


@dataclass(frozen=True)
class Region:
    """A condition, its rows on the rows that were searched, and how much was lost there on average."""

    condition: SliceCondition
    n: int
    loss: float
    strength: float


@dataclass(frozen=True)
class _Tested:
    """One region on the test rows; `p` is Holm's, corrected for all regions that were carried over."""

    region: Region
    n: int
    gained: int
    lost: int
    p: float

    @property
    def loss(self) -> float:
        return (self.lost - self.gained) / self.n

    def __str__(self) -> str:
        return (
            f"{self.region.condition}: {100 * self.loss:.1f} points lost on {in_words.rows(self.n)} of test "
            f"({100 * self.region.loss:.1f} on {self.region.n:,} of validation), corrected p {self.p:.3g}"
        )


def _remedy(shown: Sequence[_Tested]) -> str:
    where = "; ".join(str(one.region.condition) for one in shown)
    return f"Train with more rows of this kind, or keep what answers them right from being pruned: {where}."


def _rows_of(test: PairedRows, condition: SliceCondition) -> np.ndarray | None:
    try:
        return test.index.mask(condition)
    except EmptySliceError:
        return None


def _check_no_row_twice(searched: PairedRows, test: PairedRows) -> None:
    """The same rows on both sides would test what they were searched for. Row numbers may repeat, whole frames not."""
    if searched.rows is test.rows or searched.rows.equals(test.rows):
        raise EvidenceError(
            "The validation and the test rows are the same rows.", "Search on rows that nothing is decided on."
        )


@dataclass(frozen=True)
class _Partition:
    """One column cut into parts: a code for each row and a condition for each code."""

    column: str
    codes: npt.NDArray[np.intp]
    conditions: tuple[SliceCondition, ...]
    fine: bool = False


def weakest(
    index: SliceIndex, columns: Sequence[str], loss: Floats, *, min_rows: int, margin: float, most: int
) -> list[Region]:
    """Return the regions that lost more than `margin` on average, those that show it best first.

    `loss` (rows,) is reference - candidate score. Regions of fewer than `min_rows` rows are left out, and so are those
    that share four of five of their rows with a stronger one. Raises EvidenceError for a column that cannot be read.
    """
    partitions = [part for column in columns for part in _partitions(index, column)]
    pairs = [
        pair
        for pair in combinations([part for part in partitions if not part.fine], 2)
        if pair[0].column != pair[1].column
    ]
    found = [*(r for part in partitions for r in _regions((part,), loss, min_rows, margin)),
             *(r for pair in pairs for r in _regions(pair, loss, min_rows, margin))]  # fmt: skip
    found.sort(key=lambda region: (-region.strength, str(region.condition)))
    return _distinct(index, found, most)


def _partitions(index: SliceIndex, column: str) -> Iterator[_Partition]:
    codes, values = index.values(column)
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if not numeric or len(values) <= FEW_VALUES:
        yield _Partition(column, codes, tuple(SliceCondition(column=column, equals=value) for value in values))
        return
    numbers = np.array(values, dtype=float)[codes]
    for bins in (*COARSE, *FINE):
        edges = np.unique(np.quantile(numbers, np.arange(1, bins) / bins))
        cut = np.searchsorted(edges, numbers, side="right")
        yield _Partition(column, cut, _bins(column, edges), fine=bins in FINE)


def _bins(column: str, edges: Floats) -> tuple[SliceCondition, ...]:
    bounds = [None, *map(float, edges), None]
    return tuple(
        SliceCondition.model_validate({"column": column, "from": low, "to": high}) for low, high in pairwise(bounds)
    )


def _regions(parts: Sequence[_Partition], loss: Floats, min_rows: int, margin: float) -> Iterator[Region]:
    codes, size = parts[0].codes, len(parts[0].conditions)
    for part in parts[1:]:
        codes, size = codes * len(part.conditions) + part.codes, size * len(part.conditions)
    rows, sums, squares = (np.bincount(codes, weights, size) for weights in (None, loss, loss**2))
    lost = sums / np.maximum(rows, 1)
    # How far the loss beyond the margin stands out; one more discordant row keeps the smallest from looking certain.
    strength = (sums - margin * rows) / np.sqrt(squares + 1)
    for code in np.flatnonzero((rows >= min_rows) & (lost > margin)):
        yield Region(_condition(parts, int(code)), int(rows[code]), float(lost[code]), float(strength[code]))


def _condition(parts: Sequence[_Partition], code: int) -> SliceCondition:
    conditions = []
    for part in reversed(parts):
        code, own = divmod(code, len(part.conditions))
        conditions.append(part.conditions[own])
    return conditions[0] if len(conditions) == 1 else SliceCondition(all=tuple(reversed(conditions)))


def _distinct(index: SliceIndex, found: Sequence[Region], most: int) -> list[Region]:
    kept: list[tuple[Region, npt.NDArray[np.bool_]]] = []
    for region in found:
        mask = index.mask(region.condition)
        if all((mask & other).sum() < SAME * (mask | other).sum() for _, other in kept):
            kept.append((region, mask))
        if len(kept) == most:
            break
    return [region for region, _ in kept]

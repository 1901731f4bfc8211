"""The gate on slices that nobody named: searched for on the validation rows, tested on the test rows.

The search is in the spirit of Slice Finder (Chung Y and others. Automated data slicing for model validation. ICDE
2019), but on the paired loss of a candidate against a reference, and says nothing about significance: the regions that
it finds are tested on other rows.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from quality_gates.errors import EmptySliceError, EvidenceError
from quality_gates.evidence import Evidence, PairedRows
from quality_gates.gates import figures_in_words as in_words
from quality_gates.gates.kind import Demand, GateKind, Shown
from quality_gates.gates.planning import PlanLine, PlannedRows
from quality_gates.policy import Confidence, Name, OnInconclusive, Reference, Share, SliceCondition
from quality_gates.statistics import (
    POWER,
    Region,
    WeakRegions,
    grouped_p_value,
    holm,
    least_found_loss,
    p_value,
    score_interval,
    weakest_regions,
)
from quality_gates.verdict import GateOutcome, GateResult

_STEPS = 4


class FoundSlices(GateKind):
    """No region of the data that nobody named is shown to have lost more than a margin.

    The validation rows are searched for the weakest regions: single values, bins of numbers, pairs of columns. The test
    rows decide about each of them. The regions are chosen without a look at the scores of the test rows, so the search
    needs no correction of its own; Holm's is for the number of regions carried over (Scandinavian Journal of Statistics
    1979;6:65-70).

    Where nothing is shown, the gate says the smallest loss that it could have found in a region of `min_rows` rows. It
    passes only where that lies beyond the margin by no more than the margin again; else the rows are too few to say
    that no region lost much.
    """

    kind: Literal["found_slices"] = "found_slices"
    name: Name
    """The gate's own name."""
    against: Reference
    """The model that the candidate is compared with: the parent, the last release that passed, or the anchor."""
    columns: tuple[str, ...] | None = Field(default=None, min_length=1)
    """The slice columns that are searched; all of them where it is left out."""
    min_rows: int = Field(strict=True, ge=2)
    """The fewest rows that a region has, on validation and on test."""
    carried: int = Field(strict=True, ge=1)
    """The number of the weakest regions on validation that are tested on the test rows."""
    margin: Share
    """The largest loss of accuracy in a region that is allowed, such as 0.1 for ten percentage points. A loss of twice
    as much must be large enough to be found in a region of `min_rows` rows, else the gate is inconclusive."""
    confidence: Confidence
    """The confidence, for all regions together, at which a larger loss must be shown."""
    on_inconclusive: OnInconclusive = "fail"
    """The consequence where the rows are too few to find such losses: fail, or a warning that does not block the
    release."""

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
        """Tell whether a loss could be found in a region of `min_rows` rows; its `needed` is of such a region."""
        n, least = len(test.rows), self._least_found(test.discordance)
        said = f"in a region of {in_words.rows(self.min_rows)} only a loss of {_lost(least)} is found"
        if self._sees(least):
            return PlanLine(self.name, n, None, f"yes: {said} in 4 of 5 cases, and only one that is shown stops it")
        needed = self._min_rows_needed(test.discordance)
        more = "widen `margin`" if needed is None else f"set `min_rows` to {needed:,}, or widen `margin`"
        return PlanLine(self.name, n, needed, f"no: {said}; {more}")

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
        found = weakest_regions(
            searched.index, columns, loss, min_rows=self.min_rows, margin=self.margin, most=self.carried * 3
        )
        looked = (
            f"searched {found.searched:,} regions by {', '.join(columns)} on {in_words.rows(len(searched.rows))} of "
            "validation"
        )
        return self._held(found, self._tested(found.regions, test), looked, test)

    def _tested(self, regions: Sequence[Region], test: PairedRows) -> list["_Tested"]:
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

    def _held(self, found: WeakRegions, tested: Sequence["_Tested"], looked: str, test: PairedRows) -> GateResult:
        shown = [one for one in tested if one.p <= 1 - self.confidence]
        differing = int((test.rows["candidate_score"] != test.rows["reference_score"]).sum())
        # Without a discordant row so far, count one: a share of exactly zero would promise too much.
        discordance = max(differing, 1) / len(test.rows)
        least = self._least_found(discordance)
        sees = found.searched > 0 and self._sees(least) and len(tested) >= min(len(found.regions), 1)
        outcome: GateOutcome = "fail" if shown else "pass" if sees else "inconclusive"
        return self.concluded(
            outcome,
            f"{self.heading}: {looked}; {self._said(found, tested, shown)} {self._could_find(found, least)}",
            lambda: _remedy(shown) if shown else self._more_rows(found, discordance),
            findings=tuple(map(str, tested)),
            **(self._worst(tested) if tested else {"n": len(test.rows)}),
        )

    def _said(self, found: WeakRegions, tested: Sequence["_Tested"], shown: Sequence["_Tested"]) -> str:
        if tested:
            said = f"{len(shown)} of {len(tested)} regions carried to test are shown to have lost more"
            return f"{said} than {100 * self.margin:g} points. {tested[0]}."
        if found.regions:
            return (
                f"{len(found.regions)} of them lost more than the margin there, and none has {self.min_rows} test rows."
            )
        return "none of them lost more than the margin there."

    def _worst(self, tested: Sequence["_Tested"]) -> dict[str, Any]:
        worst = tested[0]
        lower, upper = score_interval(worst.gained, worst.lost, worst.n, 1 - (1 - self.confidence) / len(tested))
        return {
            "slice": str(worst.region.condition),
            "n": worst.n,
            "gained": worst.gained,
            "lost": worst.lost,
            "estimate": -worst.loss,
            "lower": lower,
            "upper": upper,
        }

    def _could_find(self, found: WeakRegions, least: float | None) -> str:
        if not found.searched:
            return f"No region has {in_words.rows(self.min_rows)}, so nothing could have been found."
        return (
            f"In a region of {in_words.rows(self.min_rows)}, the smallest loss that it could have found in 4 of 5 "
            f"cases is {_lost(least)}; a pass needs at most {200 * self.margin:g}, twice the margin."
        )

    def _least_found(self, discordance: float) -> float | None:
        return _least_found(self.min_rows, discordance, self.margin, 1 - (1 - self.confidence) / self.carried)

    def _sees(self, least: float | None) -> bool:
        return least is not None and least <= 2 * self.margin

    def _more_rows(self, found: WeakRegions, discordance: float) -> str:
        if not found.searched or self._sees(self._least_found(discordance)):
            return "Add validation and test rows of the kinds that the columns tell apart, or search fewer columns."
        needed = self._min_rows_needed(discordance)
        if needed is None:
            return "Widen `margin`: no region of these rows shows so small a loss."
        return f"Set `min_rows` to about {needed:,}, with rows enough on validation and test, or widen `margin`."

    def _min_rows_needed(self, discordance: float) -> int | None:
        """Return about how many rows a region needs: the distance from the margin falls with their root."""
        if self.margin == 0:
            return None
        n = self.min_rows
        for _ in range(_STEPS):
            least = _least_found(n, discordance, self.margin, 1 - (1 - self.confidence) / self.carried)
            factor = 4.0 if least is None else ((least - self.margin) / self.margin) ** 2
            n = math.ceil(n * min(max(factor, 0.5), 16.0))
        return math.ceil(n / 10) * 10


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


def _least_found(n: int, discordance: float, margin: float, confidence: float) -> float | None:
    return least_found_loss(n, round(min(discordance, 1 - margin), 3), margin, confidence, POWER)


def _lost(least: float | None) -> str:
    return "no size" if least is None else f"{100 * least:.1f} points"


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

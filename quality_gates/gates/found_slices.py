"""The gate on slices that nobody named: searched for on the validation rows, tested on the test rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from quality_gates.errors import EmptySliceError, EvidenceError
from quality_gates.evidence import Evidence, PairedRows
from quality_gates.gates import wording
from quality_gates.gates.results import concluded, decided, not_applicable
from quality_gates.gates.slice_search import Region, weakest
from quality_gates.policy import FoundSlices, SliceCondition
from quality_gates.statistics import exact, tango
from quality_gates.verdict import GateResult


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
            f"{self.region.condition}: {100 * self.loss:.1f} points lost on {wording.rows(self.n)} of test "
            f"({100 * self.region.loss:.1f} on {self.region.n:,} of validation), corrected p {self.p:.3g}"
        )


def evaluate(gate: FoundSlices, evidence: Evidence) -> GateResult:
    """Decide one gate: fail when a region is shown to have lost more than the margin, at `confidence` for all of them.

    The regions are chosen without a look at the scores of the test rows, so the search needs no correction of its own;
    Holm's is for the number of regions carried over (Scandinavian Journal of Statistics 1979;6:65-70).
    """
    return decided(gate.name, _title(gate), lambda: _decide(gate, evidence), **_facts(gate))


def _decide(gate: FoundSlices, evidence: Evidence) -> GateResult:
    test = evidence.beside(gate.against)
    if test is None:
        evidence.alone().check_right_or_wrong("candidate")
        return not_applicable(gate.name, _title(gate), **_facts(gate))
    searched = None if evidence.validation is None else evidence.validation.beside(gate.against)
    if searched is None:
        raise EvidenceError("The validation rows of both models are missing.", "Measure both models on them too.")
    for rows in (searched, test):
        rows.check_right_or_wrong(gate.against)
    _check_no_row_twice(searched, test)
    columns = gate.columns or searched.slice_columns
    if not columns:
        raise EvidenceError("The rows have no slice column to search.", "Let the workload describe its rows.")
    loss = (searched.rows["reference_score"] - searched.rows["candidate_score"]).to_numpy()
    regions = weakest(searched.index, columns, loss, min_rows=gate.min_rows, margin=gate.margin, most=gate.carried * 3)
    return _result(gate, _tested(gate, regions, test), columns, len(searched.rows), len(test.rows))


def _tested(gate: FoundSlices, regions: list[Region], test: PairedRows) -> list[_Tested]:
    """Test the first regions that have rows enough in test: its numbers of rows, unlike its scores, may choose."""
    seen: list[_Tested] = []
    for region in regions:
        mask = _rows_of(test, region.condition)
        if mask is not None and mask.sum() >= gate.min_rows and len(seen) < gate.carried:
            candidate = test.rows["candidate_score"].to_numpy()[mask] == 1
            reference = test.rows["reference_score"].to_numpy()[mask] == 1
            gained, lost = int((candidate & ~reference).sum()), int((reference & ~candidate).sum())
            p = exact.p_value(lost, gained, len(candidate), gate.margin)
            seen.append(_Tested(region, len(candidate), gained, lost, p))
    return _holm(seen)


def _holm(seen: list[_Tested]) -> list[_Tested]:
    adjusted, least = [], 0.0
    for place, one in enumerate(sorted(seen, key=lambda one: (one.p, str(one.region.condition)))):
        least = max(least, min(1.0, one.p * (len(seen) - place)))
        adjusted.append(_Tested(one.region, one.n, one.gained, one.lost, least))
    return adjusted


def _result(gate: FoundSlices, tested: list[_Tested], columns: tuple[str, ...], searched: int, test: int) -> GateResult:
    shown = [one for one in tested if one.p <= 1 - gate.confidence]
    looked = f"searched {', '.join(columns)} on {wording.rows(searched)} of validation"
    if not tested:
        said = f"{_title(gate)}: {looked}; no region of {gate.min_rows} rows or more lost more than the margin there."
        figures: dict[str, Any] = {"n": test}
    else:
        worst = tested[0]
        lower, upper = tango.score_interval(worst.gained, worst.lost, worst.n, 1 - (1 - gate.confidence) / len(tested))
        verdict = f"{len(shown)} of {len(tested)} regions carried to test are shown to have lost more"
        said = f"{_title(gate)}: {looked}; {verdict} than {100 * gate.margin:g} points. {worst}."
        figures = {"n": worst.n, "gained": worst.gained, "lost": worst.lost, "estimate": -worst.loss}
        figures |= {"lower": lower, "upper": upper, "slice": str(worst.region.condition)}
    return concluded(
        gate,
        "fail" if shown else "pass",
        said,
        lambda: _remedy(shown),
        findings=tuple(map(str, tested)),
        **(_facts(gate) | figures),
    )


def _remedy(shown: list[_Tested]) -> str:
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


def _facts(gate: FoundSlices) -> dict[str, Any]:
    return {
        "kind": gate.kind,
        "against": gate.against,
        "metric": "accuracy",
        "threshold": -gate.margin,
        "margin": gate.margin,
        "confidence": gate.confidence,
    }


def _title(gate: FoundSlices) -> str:
    return f"Slices that nobody named, against the {gate.against} model"

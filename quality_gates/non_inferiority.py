"""The paired non-inferiority gate: how much was lost against a reference, and is it shown to be little enough."""

from dataclasses import dataclass

import pandas as pd

from quality_gates import tango, wording
from quality_gates.errors import EvidenceError, reason_and_remedy
from quality_gates.evidence import Evidence, paired
from quality_gates.policy import NonInferiority
from quality_gates.slices import in_slice
from quality_gates.verdict import GateOutcome, GateResult


@dataclass(frozen=True)
class _Comparison:
    """Both models on the rows of one gate, counted, with the bounds of candidate - reference."""

    n: int
    gained: int
    lost: int
    candidate_right: int
    reference_right: int
    lower: float
    upper: float

    @property
    def estimate(self) -> float:
        return (self.gained - self.lost) / self.n


def evaluate(gate: NonInferiority, evidence: Evidence) -> GateResult:
    """Decide one gate: pass above -margin, fail below it, else inconclusive. Damaged evidence fails."""
    try:
        reference = evidence.parent if gate.against == "parent" else evidence.deployed
        candidate_rows = evidence.candidate.measured_rows("candidate")
        in_slice(candidate_rows, gate.slice)
        if reference is None and gate.against == "deployed":
            return _without_figures(gate, "not_applicable", _first_deployment(gate), None)
        if reference is None:
            raise EvidenceError("The parent model was not measured.", "Measure the parent on the test rows.")
        rows = paired(candidate_rows, reference.measured_rows(f"{gate.against} model"), f"{gate.against} model")
        return _result(gate, _compare(rows[in_slice(rows, gate.slice)], gate.confidence))
    except Exception as error:  # whatever stops a gate from being decided must read as a failed gate, never as no gate
        reason, remedy = reason_and_remedy(error)
        return _without_figures(gate, "fail", f"{_title(gate)} could not be decided. {reason}", remedy)


def _compare(rows: pd.DataFrame, confidence: float) -> _Comparison:
    candidate, reference = rows["candidate_score"].to_numpy() == 1, rows["reference_score"].to_numpy() == 1
    gained, lost, n = int((candidate & ~reference).sum()), int((reference & ~candidate).sum()), len(rows)
    lower, upper = tango.score_interval(gained, lost, n, confidence)
    return _Comparison(n, gained, lost, int(candidate.sum()), int(reference.sum()), lower, upper)


def _result(gate: NonInferiority, seen: _Comparison) -> GateResult:
    outcome = _outcome(gate.margin, seen)
    return GateResult(
        name=gate.name,
        kind=gate.kind,
        outcome=outcome,
        blocking=not (outcome == "inconclusive" and gate.on_inconclusive == "warn"),
        against=gate.against,
        slice=str(gate.slice) if gate.slice else None,
        metric=gate.metric,
        estimate=seen.estimate,
        lower=seen.lower,
        upper=seen.upper,
        threshold=-gate.margin,
        margin=gate.margin,
        confidence=gate.confidence,
        n=seen.n,
        gained=seen.gained,
        lost=seen.lost,
        candidate_value=seen.candidate_right / seen.n,
        reference_value=seen.reference_right / seen.n,
        sentence=_sentence(gate, seen),
        remedy=None if outcome == "pass" else _remedy(gate, seen, outcome),
    )


def _outcome(margin: float, seen: _Comparison) -> GateOutcome:
    if seen.lower > -margin:
        return "pass"
    return "fail" if seen.upper < -margin else "inconclusive"


def _without_figures(gate: NonInferiority, outcome: GateOutcome, sentence: str, remedy: str | None) -> GateResult:
    return GateResult(
        name=gate.name,
        kind=gate.kind,
        outcome=outcome,
        blocking=outcome == "fail",
        against=gate.against,
        slice=str(gate.slice) if gate.slice else None,
        metric=gate.metric,
        threshold=-gate.margin,
        margin=gate.margin,
        confidence=gate.confidence,
        sentence=sentence,
        remedy=remedy,
    )


def _title(gate: NonInferiority) -> str:
    recall = gate.slice is not None and gate.slice.column == "label"
    where = f" where {gate.slice}" if gate.slice else ""
    return f"{'Recall' if recall else 'Accuracy'}{where} against the {gate.against} model"


def _first_deployment(gate: NonInferiority) -> str:
    title = _title(gate)
    return f"No deployed model yet: {title[0].lower()}{title[1:]} cannot be compared on a first deployment."


def _sentence(gate: NonInferiority, seen: _Comparison) -> str:
    digits = wording.digits_to_tell_apart(gate.margin, seen.lower, seen.upper)
    estimate, lower, upper = (wording.points(value, digits) for value in (seen.estimate, seen.lower, seen.upper))
    allowed = (
        f"a loss of at most {100 * gate.margin:.{digits}f} points is allowed"
        if gate.margin
        else "a gain must be shown, as no loss is allowed"
    )
    return (
        f"{_title(gate)}: {estimate} points ({wording.percent(gate.confidence)} bounds {lower} to {upper}) "
        f"on {wording.rows(seen.n)}; {allowed}. {wording.rows(seen.lost)} lost, {seen.gained:,} gained."
    )


def _remedy(gate: NonInferiority, seen: _Comparison, outcome: GateOutcome) -> str:
    most = tango.most_lost(seen.gained, seen.n, gate.margin, gate.confidence)
    if most is None:
        winning = f"{wording.rows(seen.n)} cannot pass even with none lost and {seen.gained:,} gained."
    else:
        winning = (
            f"To pass on these {wording.rows(seen.n)}, win back {seen.lost - most:,} of the {seen.lost:,} lost: "
            f"at most {most:,} may be lost while {seen.gained:,} are gained."
        )
    return winning if outcome == "fail" and most is not None else f"{winning} {_more_rows(gate, seen)}"


def _more_rows(gate: NonInferiority, seen: _Comparison) -> str:
    # Without a discordant row so far, reckon with one: a share of exactly zero would promise too much.
    discordance = max(seen.gained + seen.lost, 1) / seen.n
    needed = tango.rows_needed(discordance, gate.margin, gate.confidence)
    if needed is None:
        return "No number of rows shows a gain between equal models; a margin above 0 allows a loss."
    if needed <= seen.n:
        return "More rows alone may not help: two equal models would pass on this many 4 times in 5."
    return (
        f"About {wording.rows(needed)} in place of {seen.n:,} would decide: "
        "two models that are truly equal and disagree this often then pass 4 times in 5."
    )

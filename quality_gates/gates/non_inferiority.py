"""The paired non-inferiority gate: how much was lost against a reference, and is it shown to be little enough."""

from typing import Any

from quality_gates.evidence import Evidence
from quality_gates.gates import wording
from quality_gates.gates.results import at_least, concluded, decided, not_applicable
from quality_gates.policy import NonInferiority
from quality_gates.statistics import Comparison, compare, exact
from quality_gates.verdict import GateOutcome, GateResult


def evaluate(gate: NonInferiority, evidence: Evidence) -> GateResult:
    """Decide one gate: pass above -margin, fail below it, else inconclusive. Damaged evidence fails."""
    return decided(gate.name, _title(gate), lambda: _decide(gate, evidence), **_facts(gate))


def _decide(gate: NonInferiority, evidence: Evidence) -> GateResult:
    evidence.alone().index.mask(gate.slice)
    laid = evidence.beside(gate.against)
    if laid is None:
        compare(gate, evidence.alone(), "candidate", gate.margin, gate.confidence, evidence)  # hides no damage
        return not_applicable(gate.name, _title(gate), **_facts(gate))
    return _result(gate, compare(gate, laid, gate.against, gate.margin, gate.confidence, evidence))


def _result(gate: NonInferiority, seen: Comparison) -> GateResult:
    outcome = at_least(-gate.margin, seen.lower, seen.upper)
    return concluded(
        gate,
        outcome,
        _sentence(gate, seen),
        lambda: _remedy(gate, seen, outcome),
        rows_needed=seen.rows_needed,
        **seen.figures,
        **_facts(gate),
    )


def _facts(gate: NonInferiority) -> dict[str, Any]:
    return {
        "kind": gate.kind,
        "against": gate.against,
        "slice": str(gate.slice) if gate.slice else None,
        "metric": gate.metric,
        "unit": "proportion" if gate.is_proportion else "value",
        "threshold": -gate.margin,
        "margin": gate.margin,
        "confidence": gate.confidence,
    }


def _title(gate: NonInferiority) -> str:
    return f"{gate.described} against the {gate.against} model"


def _sentence(gate: NonInferiority, seen: Comparison) -> str:
    write = wording.differences(gate.is_proportion, gate.margin, seen.lower, seen.upper)
    allowed = (
        f"a loss of at most {write.amount(gate.margin)} is allowed"
        if gate.margin
        else "a gain must be shown, as no loss is allowed"
    )
    counted = "" if seen.lost is None else f" {wording.rows(seen.lost)} lost, {seen.gained:,} gained."
    return (
        f"{_title(gate)}: {write.signed(seen.gain, unit=True)} ({wording.percent(gate.confidence)} bounds "
        f"{write.signed(seen.lower)} to {write.signed(seen.upper)}) "
        f"on {wording.rows(seen.n)}; {allowed}.{counted}"
    )


def _remedy(gate: NonInferiority, seen: Comparison, outcome: GateOutcome) -> str:
    if seen.lost is None or seen.gained is None:
        write = wording.differences(gate.is_proportion, gate.margin, seen.lower, seen.upper)
        missing = f"The lower bound is {write.amount(-gate.margin - seen.lower)} too low."
        return missing if outcome == "fail" else f"{missing} {more_rows(seen.rows_needed, seen.n)}"
    most = exact.most_lost(seen.gained, seen.n, gate.margin, gate.confidence)
    if most is None:
        winning = f"{wording.rows(seen.n)} cannot pass even with none lost and {seen.gained:,} gained."
    else:
        winning = (
            f"To pass on these {wording.rows(seen.n)}, win back {seen.lost - most:,} of the {seen.lost:,} lost: "
            f"at most {most:,} may be lost while {seen.gained:,} are gained."
        )
    if outcome == "fail" and most is not None:
        return winning
    return f"{winning} {more_rows(seen.rows_needed, seen.n)}"


def more_rows(needed: int | None, n: int) -> str:
    """Say how many rows of the slice would decide."""
    if needed is None:
        return "No number of rows shows a gain between equal models; a margin above 0 allows a loss."
    if needed <= n:
        return "More rows alone may not help: two equal models would pass on this many 4 times in 5."
    return (
        f"About {wording.rows(needed)} in place of {n:,} would decide: "
        "two models that are truly equal and disagree this often then pass 4 times in 5."
    )

"""The flips gate: how many rows the reference had right and the candidate has wrong, with an exact upper bound."""

from typing import Any

from quality_gates.evidence import Evidence
from quality_gates.gates import wording
from quality_gates.gates.results import at_most, concluded, decided, not_applicable
from quality_gates.policy import Flips
from quality_gates.statistics import POWER, rows_for_share, share_bounds
from quality_gates.verdict import GateResult


def evaluate(gate: Flips, evidence: Evidence) -> GateResult:
    """Decide one gate: pass when the upper bound of the share that flipped is within the limit."""
    return decided(gate.name, _title(gate), lambda: _decide(gate, evidence), **_facts(gate))


def _decide(gate: Flips, evidence: Evidence) -> GateResult:
    alone = evidence.alone()
    alone.check_right_or_wrong("candidate")
    alone.index.mask(gate.slice)
    laid = evidence.beside(gate.against)
    if laid is None:
        return not_applicable(gate.name, _title(gate), **_facts(gate))
    laid.check_right_or_wrong(gate.against)
    rows = laid.rows[laid.index.mask(gate.slice)]
    candidate, reference = rows["candidate_score"].to_numpy() == 1, rows["reference_score"].to_numpy() == 1
    lost, gained = int((reference & ~candidate).sum()), int((candidate & ~reference).sum())
    return _result(gate, lost, gained, len(rows))


def _result(gate: Flips, lost: int, gained: int, n: int) -> GateResult:
    lower, upper = share_bounds(lost, n, gate.confidence)
    outcome = at_most(gate.at_most, lower, upper)
    # Without a flip so far, reckon with half a row: a share of exactly zero would promise too much.
    needed = rows_for_share(max(lost, 0.5) / n, gate.at_most, gate.confidence, POWER)
    return concluded(
        gate,
        outcome,
        f"{_title(gate)}: {wording.rows(lost)} of {n:,} flipped from right to wrong, {100 * lost / n:.2f} % "
        f"({wording.percent(gate.confidence)} upper bound {100 * upper:.2f} %); at most "
        f"{100 * gate.at_most:g} % is allowed. {gained:,} flipped from wrong to right.",
        lambda: _remedy(gate, lost, n, needed, outcome),
        estimate=lost / n,
        lower=lower,
        upper=upper,
        n=n,
        gained=gained,
        lost=lost,
        rows_needed=needed,
        **_facts(gate),
    )


def _remedy(gate: Flips, lost: int, n: int, needed: int | None, outcome: str) -> str:
    most = next((count for count in range(lost, -1, -1) if _holds(gate, count, n)), None)
    winning = (
        f"{wording.rows(n)} cannot pass even without a flip."
        if most is None
        else f"To pass on these {wording.rows(n)}, win back {lost - most:,} of the {lost:,}: at most {most:,} may flip."
    )
    if outcome == "fail" or needed is None or needed <= n:
        return winning
    return f"{winning} About {wording.rows(needed)} would decide at this share of flips."


def _holds(gate: Flips, count: int, n: int) -> bool:
    return share_bounds(count, n, gate.confidence)[1] <= gate.at_most


def _facts(gate: Flips) -> dict[str, Any]:
    return {
        "kind": gate.kind,
        "against": gate.against,
        "slice": str(gate.slice) if gate.slice else None,
        "metric": "negative_flips",
        "threshold": gate.at_most,
        "confidence": gate.confidence,
    }


def _title(gate: Flips) -> str:
    return f"Negative flips{f' where {gate.slice}' if gate.slice else ''} against the {gate.against} model"

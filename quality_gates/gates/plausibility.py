"""The plausibility gate: a gain over the parent that is too good to be true stops the line."""

from typing import Any

from quality_gates.evidence import Evidence
from quality_gates.gates import wording
from quality_gates.gates.results import concluded, decided
from quality_gates.policy import Plausibility
from quality_gates.statistics import compare
from quality_gates.verdict import GateResult

_REMEDY = (
    "Look for test rows among the training rows, and for a split or a label that changed; if the gain is real, state a "
    "larger plausible one."
)


def evaluate(gate: Plausibility, evidence: Evidence) -> GateResult:
    """Decide one gate: fail when the gain is shown to be larger than plausible. Damaged evidence fails."""
    return decided(gate.name, _title(gate), lambda: _decide(gate, evidence), **_facts(gate))


def _decide(gate: Plausibility, evidence: Evidence) -> GateResult:
    laid = evidence.beside_parent()
    seen = compare(gate, laid, "parent", -gate.gain_at_most, gate.confidence, evidence)
    plausible = not seen.lower > gate.gain_at_most
    write = wording.differences(gate.is_proportion, gate.gain_at_most, seen.lower)
    return concluded(
        gate,
        "pass" if plausible else "fail",
        f"{_title(gate)}: {write.signed(seen.gain, unit=True)} ({wording.percent(gate.confidence)} lower "
        f"bound {write.signed(seen.lower)}) on {wording.rows(seen.n)}; "
        + (
            f"not shown to be more than the plausible {write.amount(gate.gain_at_most)}."
            if plausible
            else f"more than the plausible {write.amount(gate.gain_at_most)}: a leak is likelier."
        ),
        lambda: _REMEDY,
        **seen.figures,
        **_facts(gate),
    )


def _facts(gate: Plausibility) -> dict[str, Any]:
    return {
        "kind": gate.kind,
        "against": "parent",
        "slice": str(gate.slice) if gate.slice else None,
        "metric": gate.metric,
        "unit": "proportion" if gate.is_proportion else "value",
        "threshold": gate.gain_at_most,
        "confidence": gate.confidence,
    }


def _title(gate: Plausibility) -> str:
    return f"Gain of {gate.described[0].lower()}{gate.described[1:]} over the parent model"

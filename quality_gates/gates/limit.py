"""The limit gate: a resource or a metric of the candidate against an absolute bound."""

import math
from typing import Any

from edge_runtime.measurement import RESOURCES
from quality_gates.errors import EvidenceError
from quality_gates.evidence import MEASURE_AGAIN, Evidence, ModelEvidence
from quality_gates.gates import wording
from quality_gates.gates.results import at_least, at_most, concluded, decided
from quality_gates.policy import Limit
from quality_gates.statistics import own_value
from quality_gates.verdict import GateResult


def evaluate(gate: Limit, evidence: Evidence) -> GateResult:
    """Decide one limit; a resource passes up to and including `at_most`. What is missing or impossible fails."""
    if gate.metric is None:
        facts = {"kind": gate.kind, "metric": str(gate.resource), "threshold": gate.at_most, "unit": "value"}
        return decided(gate.name, _title(gate), lambda: _resource(gate, evidence, facts), **facts)
    facts = {
        "kind": gate.kind,
        "metric": gate.metric,
        "slice": str(gate.slice) if gate.slice else None,
        "threshold": gate.at_least if gate.at_most is None else gate.at_most,
        "confidence": gate.confidence,
        "unit": "proportion" if gate.choice.is_proportion else "value",
    }
    return decided(gate.name, gate.choice.described, lambda: _metric(gate, evidence, facts), **facts)


def _resource(gate: Limit, evidence: Evidence, facts: dict[str, Any]) -> GateResult:
    resource = RESOURCES[str(gate.resource)]
    value, bound = _figure(gate, evidence.candidate), float(gate.at_most or 0)
    possible = math.isfinite(value) and (value > 0 or (value == 0 and resource.may_be_zero))
    if not possible:
        raise EvidenceError(f"The candidate's {gate.resource} was measured as {value}, which cannot be.", MEASURE_AGAIN)
    held = value <= bound
    where = f"{'within' if held else 'over'} the limit of {wording.figure(bound)}"
    return concluded(
        gate,
        "pass" if held else "fail",
        f"{_title(gate)}: {wording.figure(value)} {resource.unit}, {where}.",
        lambda: _remedy(gate, value, bound),
        candidate_value=value,
        **facts,
    )


def _figure(gate: Limit, candidate: ModelEvidence) -> float:
    figures = candidate.measured_resources("candidate")
    if gate.batch_size is not None and gate.batch_size != 1:
        found = [batch for batch in candidate.batches if batch.batch_size == gate.batch_size]
        if not found:
            raise EvidenceError(
                f"The candidate's {gate.resource} was not measured at {gate.batch_size} rows at a time.", MEASURE_AGAIN
            )
        return float(getattr(found[0], str(gate.resource)))
    return figures.value(str(gate.resource))


def _metric(gate: Limit, evidence: Evidence, facts: dict[str, Any]) -> GateResult:
    choice, confidence = gate.choice, float(gate.confidence or 0)
    value, lower, upper, n = own_value(choice, evidence.alone(), confidence, evidence)
    bound, higher = float(facts["threshold"]), choice.sign > 0
    outcome = at_least(bound, lower, upper) if higher else at_most(bound, lower, upper)
    said, low, high, limit = (wording.metric_value(choice.is_proportion, x) for x in (value, lower, upper, bound))
    return concluded(
        gate,
        outcome,
        f"{choice.described}: {said} ({wording.percent(confidence)} bounds {low} to {high}) on "
        f"{wording.rows(int(n))}; {'at least' if higher else 'at most'} {limit} is asked for.",
        lambda: _more(outcome, higher, value, bound),
        estimate=value,
        lower=lower,
        upper=upper,
        n=int(n),
        candidate_value=value,
        **facts,
    )


def _more(outcome: str, higher: bool, value: float, bound: float) -> str:
    better = value > bound if higher else value < bound
    if outcome == "inconclusive" and better:
        return "It may hold, but these rows do not show it: measure on more rows."
    return f"The candidate itself must become {'higher' if higher else 'lower'} here, or the limit be moved."


def _title(gate: Limit) -> str:
    title = RESOURCES[str(gate.resource)].title
    return title if gate.batch_size in (None, 1) else f"{title} of {gate.batch_size} rows"


def _remedy(gate: Limit, value: float, bound: float) -> str:
    resource = RESOURCES[str(gate.resource)]
    excess, factor = wording.figure(value - bound), math.ceil(100 * value / bound) / 100
    return (
        f"{excess} {resource.unit} too much: make it {factor:.2f} times {resource.less}, or raise the device's budget."
    )

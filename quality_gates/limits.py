"""The limit gate: a resource of the candidate against its budget."""

import math

from quality_gates import wording
from quality_gates.errors import EvidenceError, reason_and_remedy
from quality_gates.evidence import Evidence
from quality_gates.frames import MEASURE_AGAIN
from quality_gates.policy import Limit, Resource
from quality_gates.verdict import GateOutcome, GateResult

_NAMES: dict[Resource, tuple[str, str, str]] = {
    "size_bytes": ("File size", "bytes", "smaller"),
    "peak_rss_mb": ("Peak memory", "MB", "smaller"),
    "load_ms": ("Load time", "ms", "faster"),
    "latency_p50_ms": ("Latency p50", "ms", "faster"),
    "latency_p99_ms": ("Latency p99", "ms", "faster"),
}


def evaluate(gate: Limit, evidence: Evidence) -> GateResult:
    """Decide one limit: pass up to and including `at_most`. A missing or impossible figure fails."""
    try:
        value = float(getattr(evidence.candidate.measured_resources("candidate"), gate.resource))
        _check_possible(gate.resource, value)
    except Exception as error:  # whatever stops a gate from being decided must read as a failed gate, never as no gate
        reason, remedy = reason_and_remedy(error)
        return _result(gate, "fail", None, f"{_NAMES[gate.resource][0]} could not be decided. {reason}", remedy)
    if value <= gate.at_most:
        return _result(gate, "pass", value, _sentence(gate, value, "within"), None)
    return _result(gate, "fail", value, _sentence(gate, value, "over"), _remedy(gate, value))


def _check_possible(resource: Resource, value: float) -> None:
    # Memory is the only one that may round to nothing: it is what the model takes beyond a bare runtime.
    possible = math.isfinite(value) and (value > 0 or (value == 0 and resource == "peak_rss_mb"))
    if not possible:
        raise EvidenceError(f"The candidate's {resource} was measured as {value}, which cannot be.", MEASURE_AGAIN)


def _result(gate: Limit, outcome: GateOutcome, value: float | None, sentence: str, remedy: str | None) -> GateResult:
    return GateResult(
        name=gate.name,
        kind=gate.kind,
        outcome=outcome,
        blocking=True,
        metric=gate.resource,
        threshold=gate.at_most,
        candidate_value=value,
        sentence=sentence,
        remedy=remedy,
    )


def _sentence(gate: Limit, value: float, where: str) -> str:
    title, unit, _ = _NAMES[gate.resource]
    return f"{title}: {wording.figure(value)} {unit}, {where} the limit of {wording.figure(gate.at_most)}."


def _remedy(gate: Limit, value: float) -> str:
    _, unit, better = _NAMES[gate.resource]
    excess, factor = wording.figure(value - gate.at_most), math.ceil(100 * value / gate.at_most) / 100
    return f"{excess} {unit} too much: make it {factor:.2f} times {better}, or raise the device's budget."

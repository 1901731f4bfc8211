"""The parity gate: two ways of running the candidate that must answer the same."""

import math
from typing import Any

from quality_gates.errors import EvidenceError
from quality_gates.evidence import MEASURE_AGAIN, Evidence, ParityMeasurement
from quality_gates.gates import wording
from quality_gates.gates.results import concluded, decided
from quality_gates.policy import Parity, ParityCheck
from quality_gates.verdict import GateResult

TITLES: dict[ParityCheck, str] = {
    "torch_onnx": "torch against ONNX Runtime",
    "batched_single": "Batches against single rows",
    "optimized_plain": "The optimized graph against the plain one",
    "reloaded_original": "The file loaded again in a fresh process against the session that was open",
    "emulated_native": "The file on the device's CPU, emulated, against the same file on this machine's",
}


def evaluate(gate: Parity, evidence: Evidence) -> GateResult:
    """Decide one gate; what was not measured, or not on any row, fails."""
    return decided(gate.name, TITLES[gate.check], lambda: _decide(gate, evidence), **_facts(gate))


def _decide(gate: Parity, evidence: Evidence) -> GateResult:
    evidence.candidate.check_answered("candidate")
    seen = _measured(gate.check, evidence)
    share = seen.differing / seen.rows
    holds = seen.largest <= gate.at_most and share <= gate.rows_at_most
    return concluded(
        gate,
        "pass" if holds else "fail",
        f"{TITLES[gate.check]}: the largest difference is {seen.largest:.3g} of the largest output (at most "
        f"{gate.at_most:g} is allowed), and {seen.differing:,} of {wording.rows(seen.rows)} are answered otherwise "
        f"(at most {100 * gate.rows_at_most:g} %).",
        lambda: "Look for the operator that differs: run both on one row, output by output.",
        n=seen.rows,
        candidate_value=seen.largest,
        estimate=share,
        **_facts(gate),
    )


def _measured(check: ParityCheck, evidence: Evidence) -> ParityMeasurement:
    found = [measured for measured in evidence.parity if measured.check == check]
    if len(found) != 1:
        how = "was not measured" if not found else f"was measured {len(found)} times"
        raise EvidenceError(f"It {how}.", MEASURE_AGAIN)
    (seen,) = found
    if seen.failure is not None:
        raise EvidenceError(f"The measurement failed: {seen.failure}", MEASURE_AGAIN)
    possible = seen.rows > 0 and 0 <= seen.differing <= seen.rows and math.isfinite(seen.largest) and seen.largest >= 0
    if not possible:
        raise EvidenceError(
            f"The measurement says {seen.differing} of {seen.rows} rows and a difference of {seen.largest}, "
            "which cannot be.",
            MEASURE_AGAIN,
        )
    return seen


def _facts(gate: Parity) -> dict[str, Any]:
    return {"kind": gate.kind, "metric": f"parity_{gate.check}", "threshold": gate.at_most, "unit": "value"}

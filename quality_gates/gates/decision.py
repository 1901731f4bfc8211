"""The decision: a policy and the evidence in, a verdict out. Pure: no clock, no files, no environment."""

from typing import assert_never

from quality_gates.evidence import Evidence
from quality_gates.gates import (
    flips,
    found_slices,
    limit,
    non_inferiority,
    parity,
    plausibility,
    probability_calibration,
    representative,
)
from quality_gates.policy import (
    Calibration,
    Flips,
    FoundSlices,
    Gate,
    GatePolicy,
    Limit,
    NonInferiority,
    Parity,
    Plausibility,
    Representative,
)
from quality_gates.verdict import GateResult, Verdict


def decide(policy: GatePolicy, evidence: Evidence) -> Verdict:
    """Evaluate every gate; the candidate passes only when all of them do.

    Never raises on damaged evidence: that is a failed gate that says why. Since all gates must pass, the chance that a
    candidate which breaks at least one of them passes all is no larger than one gate's own, however many there are, so
    no correction for multiplicity is due (intersection-union test: Berger RL. Multiparameter hypothesis testing and
    acceptance sampling. Technometrics 1982;24:295-300).
    """
    return Verdict.of(tuple(_evaluate(gate, evidence) for gate in policy.gates))


def _evaluate(gate: Gate, evidence: Evidence) -> GateResult:
    match gate:
        case NonInferiority():
            return non_inferiority.evaluate(gate, evidence)
        case Limit():
            return limit.evaluate(gate, evidence)
        case Flips():
            return flips.evaluate(gate, evidence)
        case Parity():
            return parity.evaluate(gate, evidence)
        case Calibration():
            return probability_calibration.evaluate(gate, evidence)
        case Plausibility():
            return plausibility.evaluate(gate, evidence)
        case Representative():
            return representative.evaluate(gate, evidence)
        case FoundSlices():
            return found_slices.evaluate(gate, evidence)
        case _:
            assert_never(gate)

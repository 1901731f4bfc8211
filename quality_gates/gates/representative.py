"""The representativeness gate: what came of comparing the taught and calibrated rows with the deployment sites."""

from quality_gates.errors import EvidenceError
from quality_gates.evidence import Evidence
from quality_gates.gates.results import concluded, decided
from quality_gates.policy import Representative
from quality_gates.verdict import GateOutcome, GateResult

_OUTCOMES = {"alike", "differs", "undecided"}


def evaluate(gate: Representative, evidence: Evidence) -> GateResult:
    """Decide one gate: fail where a comparison differs, inconclusive where rows are too few to show it."""
    facts = {"kind": gate.kind, "metric": "representativeness"}
    return decided(gate.name, "Representativeness", lambda: _decide(gate, evidence), **facts)


def _decide(gate: Representative, evidence: Evidence) -> GateResult:
    seen = evidence.representativeness
    if seen is None or not seen.comparisons:
        raise EvidenceError(
            "The rows were compared with none of the deployment sites.",
            "Give the workload a sample of the sites, or remove the gate.",
        )
    unknown = sorted({comparison.outcome for comparison in seen.comparisons} - _OUTCOMES)
    if unknown:
        raise EvidenceError(f"A comparison ended as {unknown[0]!r}.", "Compare again.")
    differs = tuple(comparison.sentence for comparison in seen.comparisons if comparison.outcome == "differs")
    undecided = sum(comparison.outcome == "undecided" for comparison in seen.comparisons)
    outcome: GateOutcome = "fail" if differs else "inconclusive" if undecided else "pass"
    return concluded(
        gate,
        outcome,
        f"{len(differs)} of {len(seen.comparisons)} comparisons with the deployment sites differ"
        f"{f', {undecided} for want of rows undecided' if undecided else ''}. {' '.join(differs[:1])}".strip(),
        lambda: "Train and calibrate on rows of the sites that differ.",
        kind=gate.kind,
        metric="representativeness",
        findings=differs,
    )

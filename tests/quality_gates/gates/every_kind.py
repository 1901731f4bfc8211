"""A gate of every kind, and evidence that passes all of them."""

import dataclasses
from types import SimpleNamespace
from typing import Any

from quality_gates.evidence import Evidence, ParityMeasurement
from quality_gates.gates import GatePolicy, decide
from quality_gates.verdict import GateResult
from tests.quality_gates.classed import answers, seen

FLIPS = {"kind": "flips", "at_most": 0.02, "confidence": 0.95}
PARITY = {"kind": "parity", "check": "batched_single", "at_most": 0.001, "rows_at_most": 0.0}
CALIBRATION = {
    "kind": "calibration", "metric": "brier", "against": "parent", "margin": 0.05, "at_most": 0.3, "confidence": 0.95,
}  # fmt: skip
PLAUSIBLE = {"kind": "plausibility", "metric": "accuracy", "gain_at_most": 0.05, "confidence": 0.95}
SITES = {"kind": "representativeness"}
METRIC = {"kind": "limit", "metric": "recall", "of": "crack", "at_least": 0.9, "confidence": 0.95}
EVERY: list[dict[str, Any]] = [FLIPS, PARITY, CALIBRATION, PLAUSIBLE, SITES, METRIC]
SAME = ParityMeasurement("batched_single", 256, 0, 1e-6)


def held(gate: dict[str, Any], evidence: Evidence) -> GateResult:
    return decide(GatePolicy.model_validate({"gates": [{"name": "gate"} | gate]}), evidence).gates[0]


def compared(*outcomes: str) -> SimpleNamespace:
    found = [SimpleNamespace(outcome=outcome, sentence=f"It is {outcome}.") for outcome in outcomes]
    return SimpleNamespace(comparisons=found)


def good() -> Evidence:
    return dataclasses.replace(seen(answers()), parity=(SAME,), representativeness=compared("alike"))


SIZE = {"kind": "limit", "resource": "size_bytes", "at_most": 100_000}
AGAINST = {"kind": "non_inferiority", "metric": "accuracy", "margin": 0.05, "confidence": 0.95}
SEARCHED = {"kind": "found_slices", "against": "parent", "min_rows": 50, "carried": 3, "margin": 0.3}
ON_ANSWERS: list[dict[str, Any]] = [
    AGAINST | {"against": "parent"},
    AGAINST | {"against": "deployed", "on_inconclusive": "warn"},
    FLIPS | {"on_inconclusive": "warn"},
    CALIBRATION | {"on_inconclusive": "warn"},
    PLAUSIBLE,
    METRIC,
    PARITY,
    SEARCHED | {"confidence": 0.95},
]

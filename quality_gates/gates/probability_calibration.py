"""The calibration gate: whether the candidate's confidence can be believed, and no less than the parent's could."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from quality_gates.evidence import Evidence, PairedRows
from quality_gates.gates import wording
from quality_gates.gates.results import at_most, concluded, decided
from quality_gates.policy import Calibration
from quality_gates.statistics import calibration
from quality_gates.verdict import GateOutcome, GateResult

_WORST: tuple[GateOutcome, ...] = ("fail", "inconclusive", "pass")
_REMEDY = "Scale the outputs by a temperature fitted on the validation rows, or measure on more rows."


@dataclass(frozen=True)
class _Part:
    """One of the two bounds: what was seen of it."""

    what: str
    value: float
    lower: float
    upper: float
    limit: float

    @property
    def outcome(self) -> GateOutcome:
        return at_most(self.limit, self.lower, self.upper)

    def __str__(self) -> str:
        return f"{self.what} {self.value:.3f} (bounds {self.lower:.3f} to {self.upper:.3f}), at most {self.limit:g}"


def evaluate(gate: Calibration, evidence: Evidence) -> GateResult:
    """Decide one gate from the upper bounds of the error and of its rise. Evidence without confidences fails."""
    return decided(gate.name, _title(gate), lambda: _decide(gate, evidence), **_facts(gate))


def _decide(gate: Calibration, evidence: Evidence) -> GateResult:
    parts, n = [], 0
    if gate.at_most is not None:
        alone = evidence.alone()
        alone.check_right_or_wrong("candidate")
        seen = calibration(gate.bins, _rows(gate, alone))
        parts.append(_Part("error", seen.values[0], *seen.own_bounds(gate.confidence), gate.at_most))
        n = seen.n
    if gate.rise_at_most is not None:
        laid = evidence.beside_parent()
        laid.check_right_or_wrong("parent")
        seen = calibration(gate.bins, _rows(gate, laid))
        low, high = seen.gain_bounds(gate.confidence)
        parts.append(_Part("rise", seen.values[0] - seen.values[1], -high, -low, gate.rise_at_most))
        n = seen.n
    return _result(gate, parts, n)


def _result(gate: Calibration, parts: list[_Part], n: int) -> GateResult:
    outcome = min((part.outcome for part in parts), key=_WORST.index)
    tightest = min(parts, key=lambda part: (_WORST.index(part.outcome), part.limit - part.upper))
    return concluded(
        gate,
        outcome,
        f"{_title(gate)} over {gate.bins} bins on {wording.rows(n)}, {wording.percent(gate.confidence)} "
        f"bounds: {'; '.join(map(str, parts))}.",
        lambda: _REMEDY,
        estimate=tightest.value,
        lower=tightest.lower,
        upper=tightest.upper,
        n=n,
        findings=tuple(map(str, parts)),
        **(_facts(gate) | {"threshold": tightest.limit}),
    )


def _rows(gate: Calibration, laid: PairedRows) -> pd.DataFrame:
    return laid.rows[laid.index.mask(gate.slice)]


def _facts(gate: Calibration) -> dict[str, Any]:
    return {
        "kind": gate.kind,
        "against": "parent" if gate.rise_at_most is not None else None,
        "slice": str(gate.slice) if gate.slice else None,
        "metric": "calibration_error",
        "threshold": gate.at_most if gate.rise_at_most is None else gate.rise_at_most,
        "confidence": gate.confidence,
    }


def _title(gate: Calibration) -> str:
    return f"Expected calibration error{f' where {gate.slice}' if gate.slice else ''}"

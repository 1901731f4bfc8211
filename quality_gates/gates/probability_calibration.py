"""The gate on probability calibration: the candidate's confidence can be believed, no less than the parent's could."""

from dataclasses import dataclass
from typing import Any, Literal, Self

import pandas as pd
from pydantic import Field, model_validator

from quality_gates.errors import PolicyError
from quality_gates.evidence import Evidence, PairedRows
from quality_gates.gates import figures_in_words as in_words
from quality_gates.gates.kind import GateKind, Shown, at_most
from quality_gates.gates.planning import PlanLine, PlannedRows, unknown
from quality_gates.policy import Confidence, Name, OnInconclusive, Share, SliceCondition
from quality_gates.statistics import calibration_error
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


class Calibration(GateKind):
    """The expected calibration error of the candidate's probabilities is small, and rises little over the parent's.

    The gate on probability calibration. Each bound may be left out, but not both.
    """

    kind: Literal["calibration"] = "calibration"
    name: Name
    """The gate's own name."""
    bins: int = Field(strict=True, ge=2, le=100)
    """The number of bins of equal width that confidences are sorted into."""
    at_most: Share | None = None
    """The largest expected calibration error that is allowed, between 0 and 1."""
    rise_at_most: Share | None = None
    """The most by which the error may be larger than the parent's."""
    confidence: Confidence
    """The one-sided confidence of the upper bounds, such as 0.95."""
    slice: SliceCondition | None = None
    """The rows that the error is of; all rows where it is left out."""
    on_inconclusive: OnInconclusive = "fail"
    """The consequence where the rows are too few to decide: fail, or a warning that does not block the release."""

    @model_validator(mode="after")
    def _bounds_something(self) -> Self:
        if self.at_most is None and self.rise_at_most is None:
            raise PolicyError("expected `at_most`, `rise_at_most` or both, got neither; add one, none has a default")
        return self

    @classmethod
    def shown(cls) -> Shown:
        """Show the error or its rise; it must lie below the limit."""
        return Shown(allowed="below")

    @property
    def by_answers(self) -> bool:
        """True: confidences are answers."""
        return True

    @property
    def heading(self) -> str:
        """The error and its slice."""
        return f"Expected calibration error{f' where {self.slice}' if self.slice else ''}"

    @property
    def facts(self) -> dict[str, Any]:
        """Reference, slice, limit and confidence."""
        return {
            "against": "parent" if self.rise_at_most is not None else None,
            "slice": str(self.slice) if self.slice else None,
            "metric": "calibration_error",
            "threshold": self.at_most if self.rise_at_most is None else self.rise_at_most,
            "confidence": self.confidence,
        }

    def plan(self, test: PlannedRows, /) -> PlanLine:
        """Need a number of rows that nothing tells before the models answer."""
        return unknown(self.name, test.count(self.slice), "it depends on how far confidences are off")

    def decide(self, evidence: Evidence) -> GateResult:
        """Hold the upper bounds of the error and of its rise; evidence without confidences fails."""
        parts, n = [], 0
        if self.at_most is not None:
            alone = evidence.alone()
            alone.check_right_or_wrong("candidate")
            seen = calibration_error(self.bins, self._rows(alone))
            parts.append(_Part("error", seen.values[0], *seen.own_bounds(self.confidence), self.at_most))
            n = seen.n
        if self.rise_at_most is not None:
            laid = evidence.beside_parent()
            laid.check_right_or_wrong("parent")
            seen = calibration_error(self.bins, self._rows(laid))
            low, high = seen.gain_bounds(self.confidence)
            parts.append(_Part("rise", seen.values[0] - seen.values[1], -high, -low, self.rise_at_most))
            n = seen.n
        return self._held(parts, n)

    def _held(self, parts: list[_Part], n: int) -> GateResult:
        tightest = min(parts, key=lambda part: (_WORST.index(part.outcome), part.limit - part.upper))
        return self.concluded(
            min((part.outcome for part in parts), key=_WORST.index),
            f"{self.heading} over {self.bins} bins on {in_words.rows(n)}, {in_words.percent(self.confidence)} "
            f"bounds: {'; '.join(map(str, parts))}.",
            lambda: _REMEDY,
            estimate=tightest.value,
            lower=tightest.lower,
            upper=tightest.upper,
            n=n,
            findings=tuple(map(str, parts)),
            threshold=tightest.limit,
        )

    def _rows(self, laid: PairedRows) -> pd.DataFrame:
        return laid.rows[laid.index.mask(self.slice)]

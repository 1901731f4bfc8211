"""The gate on probability calibration: the candidate's probabilities can be believed, as the reference's could."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import pandas as pd
from pydantic import Field, model_validator

from quality_gates.errors import PolicyError
from quality_gates.evidence import Evidence, PairedRows
from quality_gates.gates import figures_in_words as in_words
from quality_gates.gates.kind import Demand, GateKind, Shown, at_most
from quality_gates.gates.planning import PlanLine, PlannedRows, answer, unknown
from quality_gates.policy import WORST_SCORES, Confidence, Name, OnInconclusive, ProperScore, Reference, SliceCondition
from quality_gates.statistics import (
    BootstrapMetric,
    Standing,
    calibration_errors,
    check_enough_groups,
    compared,
    guessing_score,
    rows_without_a_difference,
    score_metric,
)
from quality_gates.verdict import GateOutcome, GateResult

_WORST: tuple[GateOutcome, ...] = ("fail", "inconclusive", "pass")
_TITLES: Mapping[ProperScore, str] = {"brier": "Brier score", "log_loss": "Log-loss"}
_REMEDY = "Scale the outputs by a temperature fitted on the validation rows, or measure on more rows."
_OF_CALIBRATION_ERROR = ("bins", "rise_at_most")


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
        return f"{self.what} {self.value:.4f} (bounds {self.lower:.4f} to {self.upper:.4f}), at most {self.limit:g}"


class Calibration(GateKind):
    """The candidate's probabilities score little worse than a reference's, or well enough by themselves.

    The gate on probability calibration, by the mean of a proper score over the rows. It holds a `margin` against a
    reference, a limit `at_most` of the score itself, or both.
    """

    kind: Literal["calibration"] = "calibration"
    name: Name
    """The gate's own name."""
    metric: ProperScore
    """The score of a row: brier, from 0 to 2 over all classes, which few rows suffice for; or log_loss, which weighs
    answers most that are sure and wrong. Both are better when smaller."""
    against: Reference | None = None
    """The model that the candidate is compared with, where there is a `margin`: the parent, the last release that
    passed, or the anchor."""
    margin: float | None = Field(default=None, strict=True, ge=0)
    """The most by which the mean score may be larger than the reference's, such as 0.02."""
    at_most: float | None = Field(default=None, strict=True, gt=0)
    """The largest mean score that is allowed."""
    confidence: Confidence
    """The one-sided confidence of the upper bounds, such as 0.95."""
    slice: SliceCondition | None = None
    """The rows that the score is of; all rows where it is left out."""
    on_inconclusive: OnInconclusive = "fail"
    """The consequence where the rows are too few to decide: fail, or a warning that does not block the release."""

    @model_validator(mode="before")
    @classmethod
    def _holds_no_calibration_error(cls, given: Any) -> Any:
        """Refuse the keys of a gate on the expected calibration error, which this kind was."""
        keys = [key for key in _OF_CALIBRATION_ERROR if key in given] if isinstance(given, Mapping) else []
        if keys:
            raise PolicyError(
                "expected `metric: brier` or `metric: log_loss` with `against` and `margin`, got "
                f"{' and '.join(f'`{key}`' for key in keys)} of the expected calibration error, whose bias on few rows "
                "lets half of the models at its limit pass; hold the Brier score, and read the calibration error in "
                "the report"
            )
        return given

    @model_validator(mode="after")
    def _bounds_something(self) -> Self:
        if (self.against is None) != (self.margin is None):
            raise PolicyError("expected `against` and `margin` together, got one of them; add the other")
        if self.margin is None and self.at_most is None:
            raise PolicyError("expected a `margin`, `at_most` or both, got neither; add one, none has a default")
        worst = WORST_SCORES[self.metric]
        for key, bound in (("margin", self.margin), ("at_most", self.at_most)):
            if bound is not None and bound >= worst:
                raise PolicyError(
                    f"expected `{key}` below {worst:.3g}, the largest {_TITLES[self.metric]}, got {bound:g}; correct it"
                )
        return self

    @classmethod
    def shown(cls) -> Shown:
        """Show the score or its rise; it must lie below the limit."""
        return Shown(allowed="below")

    @property
    def by_answers(self) -> bool:
        """True: probabilities are answers."""
        return True

    @property
    def demand(self) -> Demand:
        """A proof: few rows show nothing and do not pass."""
        return "proof"

    @property
    def binds(self) -> bool:
        """True also for a limit of the score itself beside a comparison with the deployed model."""
        return super().binds or (self.at_most is not None and self.on_inconclusive == "fail")

    @property
    def heading(self) -> str:
        """The score, its slice and the reference."""
        where, beside = f" where {self.slice}" if self.slice else "", f" against the {self.against} model"
        return f"{_TITLES[self.metric]}{where}{beside if self.against else ''}"

    @property
    def facts(self) -> dict[str, Any]:
        """Reference, slice, limit and confidence."""
        return {
            "against": self.against,
            "slice": str(self.slice) if self.slice else None,
            "metric": self.metric,
            "unit": "value",
            "threshold": self.at_most if self.margin is None else self.margin,
            "confidence": self.confidence,
        }

    def plan(self, test: PlannedRows, /) -> PlanLine:
        """Count the rows on which the reference itself would pass; more may be needed."""
        n, fewest = test.count(self.slice), None
        if self.margin is not None:
            fewest = rows_without_a_difference(self.metric, self.margin, self.confidence)
            if fewest is None or n < fewest:
                return answer(self.name, n, fewest)
        alike = f"; about {fewest:,} do where they are alike" if fewest else ""
        return unknown(self.name, n, f"it depends on how far the probabilities are off{alike}")

    def decide(self, evidence: Evidence) -> GateResult:
        """Hold the upper bounds of the score and of its rise; evidence without probabilities fails."""
        alone = evidence.alone()
        own = self._scores(alone)
        parts = []
        if self.at_most is not None:
            parts.append(_Part("score", own.values[0], *own.own_bounds(self.confidence), self.at_most))
        laid = None if self.against is None else evidence.beside(self.against)
        if laid is not None and self.margin is not None:
            return self._held([*parts, self._rise(laid, self.margin)], laid, f"the {self.against} model")
        return self._held(parts, alone, None) if parts else self.not_applicable()

    def standing(self, evidence: Evidence, result: GateResult, /) -> Standing | None:
        """The candidate's score, and the reference's."""
        alone = evidence.alone()
        guess = guessing_score(self.metric, alone.alike(alone.index.mask(self.slice)))
        if guess is None or result.candidate_value is None:
            return None
        ours, theirs = result.candidate_value, result.reference_value
        return Standing(_TITLES[self.metric], ours, theirs, guess, proportion=False, lower_is_better=True)

    def _rise(self, laid: PairedRows, margin: float) -> _Part:
        seen = compared(self._scores(laid), margin, self.confidence)
        return _Part("rise", -seen.gain, -seen.upper, -seen.lower, margin)

    def _held(self, parts: list[_Part], laid: PairedRows, reference: str | None) -> GateResult:
        rows, scores = self._rows(laid), self._scores(laid)
        groups = None if scores.groups is None else scores.groups.count
        counted = in_words.rows_in_groups(len(rows), groups)
        tightest = min(parts, key=lambda part: (_WORST.index(part.outcome), part.limit - part.upper))
        ours, theirs = scores.values
        error = _calibration_error(rows, reference)
        return self.concluded(
            min((part.outcome for part in parts), key=_WORST.index),
            f"{self.heading} on {counted}, {in_words.percent(self.confidence)} bounds: "
            f"{'; '.join(map(str, parts))}.{f' {error}' if error else ''}",
            lambda: _REMEDY,
            estimate=tightest.value,
            lower=tightest.lower,
            upper=tightest.upper,
            n=len(rows),
            groups=groups,
            candidate_value=ours,
            reference_value=None if reference is None else theirs,
            findings=(*map(str, parts), *([error] if error else [])),
            threshold=tightest.limit,
        )

    def _rows(self, laid: PairedRows) -> pd.DataFrame:
        return laid.rows[laid.index.mask(self.slice)]

    def _scores(self, laid: PairedRows) -> BootstrapMetric:
        groups = laid.groups(laid.index.mask(self.slice))
        if groups is not None:
            check_enough_groups(groups)
        return score_metric(self.metric, self._rows(laid), groups)


def _calibration_error(rows: pd.DataFrame, reference: str | None) -> str | None:
    errors = calibration_errors(rows)
    if errors is None:
        return None
    beside = "" if reference is None else f", that of {reference} {100 * errors[1]:.1f} %"
    return f"Debiased calibration error {100 * errors[0]:.1f} %{beside}; it is shown and not held."

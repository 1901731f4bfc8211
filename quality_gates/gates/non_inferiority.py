"""The paired non-inferiority gate: the loss against a reference is shown to be small enough."""

import math
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from quality_gates.evidence import Evidence
from quality_gates.gates import figures_in_words as in_words
from quality_gates.gates.kind import Demand, GateKind, Shown, at_least, with_tail
from quality_gates.gates.planning import PlanLine, PlannedRows
from quality_gates.policy import (
    Confidence,
    MetricChoice,
    Name,
    OnInconclusive,
    Reference,
    below_one_for_proportions,
    check_has_errors,
)
from quality_gates.statistics import (
    ComparedMetric,
    Standing,
    check_largest_error,
    compare,
    guessing_value,
    most_lost,
    unseen_tail,
)
from quality_gates.verdict import GateOutcome, GateResult


class NonInferiority(MetricChoice, GateKind):
    """The candidate may lose at most a margin of a metric against a reference, over the same test rows.

    It passes when the lower confidence bound of candidate - reference is above -margin, fails when the upper bound is
    below it, and is inconclusive in between.
    """

    kind: Literal["non_inferiority"] = "non_inferiority"
    name: Name
    """The gate's own name."""
    against: Reference
    """The model that the candidate is compared with: the parent, the last release that passed, or the anchor."""
    margin: float = Field(strict=True, ge=0)
    """The largest loss that is allowed, in the metric's unit: 0.02 of a proportion are two percentage points. 0 demands
    a measurable improvement. Against the anchor it is the loss of all releases since then together."""
    confidence: Confidence
    """The one-sided confidence of each bound, such as 0.95."""
    largest_error: float | None = Field(default=None, strict=True, gt=0)
    """The largest error that a row can have, where it is known, such as of outputs that are clipped; for mae and rmse.
    The gate then passes only where rows that none of the measured ones is like could not break the bound."""
    on_inconclusive: OnInconclusive = "fail"
    """The consequence where the rows are too few to decide: fail, or a warning that does not block the release."""

    @field_validator("margin")
    @classmethod
    def _margin_fits(cls, margin: float, info: ValidationInfo) -> float:
        return below_one_for_proportions(info.data.get("metric"), margin)

    @field_validator("largest_error")
    @classmethod
    def _errors_are_bounded(cls, largest: float | None, info: ValidationInfo) -> float | None:
        check_has_errors(info.data.get("metric"), largest)
        return largest

    @classmethod
    def shown(cls) -> Shown:
        """Show the gain; it must lie above -margin."""
        return Shown(difference=True, allowed="above")

    @property
    def by_answers(self) -> bool:
        """True: it compares answers."""
        return True

    @property
    def demand(self) -> Demand:
        """A proof: few rows show nothing and do not pass."""
        return "proof"

    @property
    def heading(self) -> str:
        """The metric and the reference."""
        return f"{self.described} against the {self.against} model"

    @property
    def facts(self) -> dict[str, Any]:
        """Metric, reference, slice, margin and confidence."""
        return {
            "against": self.against,
            "slice": str(self.slice) if self.slice else None,
            "metric": self.metric,
            "unit": "proportion" if self.is_proportion else "value",
            "threshold": -self.margin,
            "margin": self.margin,
            "confidence": self.confidence,
        }

    def plan(self, test: PlannedRows, /) -> PlanLine:
        """Count the rows on which two equal models pass in 4 of 5 cases."""
        return test.non_inferiority(self.name, self, self.margin, self.confidence)

    def decide(self, evidence: Evidence) -> GateResult:
        """Hold the bounds of the gain against -margin."""
        evidence.alone().index.mask(self.slice)
        check_largest_error(evidence.alone(), self.slice, self.largest_error)
        laid = evidence.beside(self.against)
        if laid is None:
            compare(self, evidence.alone(), "candidate", self.margin, self.confidence, evidence)  # hides no damage
            return self.not_applicable()
        seen = compare(self, laid, self.against, self.margin, self.confidence, evidence)
        tail = unseen_tail(
            self.metric, seen.groups or seen.n, seen.candidate, seen.reference + self.margin, self.confidence
        )
        outcome = with_tail(at_least(-self.margin, seen.lower, seen.upper), tail, self.largest_error)
        unseen = in_words.unseen_errors(tail, self.confidence, self.largest_error)
        return self.concluded(
            outcome,
            f"{self._sentence(seen)} {unseen}".strip(),
            lambda: self._remedy(seen, outcome),
            rows_needed=seen.rows_needed,
            findings=(unseen,) if unseen else (),
            **seen.figures,
        )

    def standing(self, evidence: Evidence, result: GateResult, /) -> Standing | None:
        """The candidate's value of the metric, and the reference's."""
        alone = evidence.alone()
        mask = alone.index.mask(self.slice)
        guess = guessing_value(self, alone.rows[mask], alone.alike(mask))
        if guess is None or result.candidate_value is None:
            return None
        return Standing(self.title, result.candidate_value, result.reference_value, guess)

    def _sentence(self, seen: ComparedMetric) -> str:
        write = in_words.differences(self.is_proportion, self.margin, seen.lower, seen.upper)
        allowed = (
            f"a loss of at most {write.amount(self.margin)} is allowed"
            if self.margin
            else "a gain must be shown, as no loss is allowed"
        )
        counted = "" if seen.lost is None else f" {in_words.rows(seen.lost)} lost, {seen.gained:,} gained."
        return (
            f"{self.heading}: {write.signed(seen.gain, unit=True)} ({in_words.percent(self.confidence)} bounds "
            f"{write.signed(seen.lower)} to {write.signed(seen.upper)}) "
            f"on {in_words.rows_in_groups(seen.n, seen.groups)}; {allowed}.{counted}"
        )

    def _remedy(self, seen: ComparedMetric, outcome: GateOutcome) -> str:
        if seen.lower > -self.margin:  # only rows that none of these is like are in the way
            bound = seen.reference + self.margin
            return in_words.rows_for_the_tail(self.metric, seen.candidate, bound, self.largest_error, self.confidence)
        if seen.lost is None or seen.gained is None or seen.groups is not None:
            write = in_words.differences(self.is_proportion, self.margin, seen.lower, seen.upper)
            missing = f"The lower bound is {write.amount(-self.margin - seen.lower)} too low."
            return missing if outcome == "fail" else f"{missing} {_more_rows(seen.rows_needed, seen.n, seen.groups)}"
        most = most_lost(seen.gained, seen.n, self.margin, self.confidence)
        if most is None:
            winning = f"{in_words.rows(seen.n)} cannot pass even with none lost and {seen.gained:,} gained."
        else:
            gained = f" while {seen.gained:,} {'is' if seen.gained == 1 else 'are'} gained" if seen.gained else ""
            winning = (
                f"To pass on these {in_words.rows(seen.n)}, win back {seen.lost - most:,} of the {seen.lost:,} lost: "
                f"{in_words.at_most(most)} may be lost{gained}."
            )
        if outcome == "fail" and most is not None:
            return winning
        return f"{winning} {_more_rows(seen.rows_needed, seen.n)}"


def _more_rows(needed: int | None, n: int, groups: int | None = None) -> str:
    if needed is None:
        return "No number of rows shows a gain between equal models; a margin above 0 allows a loss."
    if groups is not None:
        wanted = math.ceil(needed / n * groups)
        if wanted > groups:
            return f"About {wanted:,} groups of this size in place of {groups:,} would decide between equal models."
    if needed <= n:
        return "More rows alone may not help: two equal models would pass on this many 4 times in 5."
    return (
        f"About {in_words.rows(needed)} in place of {n:,} would decide: "
        "two models that are truly equal and disagree this often then pass 4 times in 5."
    )

"""The limit gate: a resource or a metric against an absolute bound."""

import math
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from edge_runtime.measurement import LIMITED, RESOURCES, Resource
from quality_gates.errors import EvidenceError, PolicyError
from quality_gates.evidence import MEASURE_AGAIN, Evidence
from quality_gates.gates import figures_in_words as in_words
from quality_gates.gates.kind import Demand, GateKind, Shown, at_least, at_most, with_tail
from quality_gates.gates.planning import PlanLine, PlannedRows, not_of_rows
from quality_gates.policy import (
    Confidence,
    Metric,
    MetricChoice,
    Name,
    OnInconclusive,
    SliceCondition,
    Value,
    check_has_errors,
    one_of,
)
from quality_gates.statistics import (
    NOISE_CONFIDENCE,
    ProcessBounds,
    Standing,
    check_largest_error,
    guessing_value,
    process_bounds,
    unseen_tail,
    value_with_bounds,
)
from quality_gates.verdict import GateOutcome, GateResult

_PLACES = {"pass": "within", "fail": "over", "inconclusive": "too close to tell from"}
BATCHED = tuple(name for name, resource in RESOURCES.items() if resource.batched)


def _measured(resource: object) -> object:
    if resource in RESOURCES and resource not in LIMITED:
        raise PolicyError(
            f"expected a resource that every device can measure, got {resource}; most machines show no counter of "
            "energy, and there the gate could never pass: remove the gate"
        )
    return resource


ResourceName: TypeAlias = Annotated[str, one_of(LIMITED), BeforeValidator(_measured)]


class Limit(GateKind):
    """A resource of the candidate is at most so much, or a metric of it is at least or at most so much.

    A metric is held by its confidence bound, so it needs a `confidence`.
    """

    kind: Literal["limit"] = "limit"
    name: Name
    """The gate's own name."""
    resource: ResourceName | None = None
    """The resource that is limited; its bound is in bytes, MiB or milliseconds. Instead of a `metric`."""
    batch_size: int | None = Field(default=None, strict=True, ge=1)
    """The number of rows at a time that a latency is of; one row where it is left out."""
    at_most: float | None = Field(default=None, strict=True, gt=0)
    """The largest value that is allowed, in the unit of the resource or metric."""
    at_least: float | None = Field(default=None, strict=True)
    """The smallest value of the metric that is allowed; above 0 where the metric is a share."""
    metric: Metric | None = None
    """The metric that is held, or a custom metric as package.module:function. Instead of a `resource`."""
    of: Value | None = None
    """A value of the workload's targets, such as 0 or scratch; needed for recall, precision, f1 and auroc."""
    better: Literal["higher", "lower"] | None = None
    """The direction in which a custom metric is better; needed for a custom metric alone."""
    slice: SliceCondition | None = None
    """The rows that the metric looks at; all rows where it is left out."""
    confidence: Confidence | None = None
    """The one-sided confidence of the metric's bound, such as 0.95."""
    largest_error: float | None = Field(default=None, strict=True, gt=0)
    """The largest error that a row can have, where it is known, such as of outputs that are clipped; for mae and rmse.
    The gate then passes only where rows that none of the measured ones is like could not break the bound."""
    on_inconclusive: OnInconclusive = "fail"
    """The consequence where the rows are too few to decide, or a resource varies too much: fail, or a warning that does
    not block the release."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.resource is None) == (self.metric is None):
            raise PolicyError("expected either a `resource` or a `metric`, got both or none; keep one")
        if self.metric is not None:
            self._check_metric()
        elif self.at_most is None:
            raise PolicyError(f"expected `at_most` for {self.resource}, got none; add it, it has no default")
        elif (self.at_least, self.of, self.better, self.slice, self.confidence, self.largest_error) != (None,) * 6:
            raise PolicyError(f"{self.resource}: expected `at_most` alone, got keys of a metric; remove them")
        if self.batch_size is not None and self.resource not in BATCHED:
            raise PolicyError(f"`batch_size` is for {' and '.join(BATCHED)} only; remove it")
        return self

    def _check_metric(self) -> None:
        sign = self.choice.sign
        right, wrong = (self.at_least, self.at_most) if sign > 0 else (self.at_most, self.at_least)
        if right is None or wrong is not None:
            raise PolicyError(
                f"metric {self.metric}: expected `{'at_least' if sign > 0 else 'at_most'}`, as "
                f"{'higher' if sign > 0 else 'lower'} is better, got the other or none; correct it"
            )
        if self.at_least is not None and self.at_least <= 0 and self.choice.is_proportion:
            raise PolicyError(
                f"metric {self.metric}: expected `at_least` above 0, as every model has a share of 0 or more, got "
                f"{self.at_least:g}; write the least that is worth something"
            )
        check_has_errors(self.metric, self.largest_error)
        if self.confidence is None:
            raise PolicyError(f"metric {self.metric}: expected a `confidence`, got none; add it, it has no default")

    @property
    def choice(self) -> MetricChoice:
        """The metric with its class and slice."""
        return MetricChoice.model_validate(
            {"metric": self.metric, "of": self.of, "better": self.better, "slice": self.slice}
        )

    @classmethod
    def shown(cls) -> Shown:
        """Show a level; the metric says on which side of the limit it must lie."""
        return Shown()

    @property
    def by_answers(self) -> bool:
        """True for a metric; a resource is measured of the file."""
        return self.metric is not None

    @property
    def demand(self) -> Demand:
        """A proof for a metric; a resource is no matter of answers."""
        return "nothing" if self.metric is None else "proof"

    @property
    def heading(self) -> str:
        """The resource or the metric."""
        if self.resource is None:
            return self.choice.described
        title = RESOURCES[self.resource].title
        return title if self.batch_size in (None, 1) else f"{title} of {self.batch_size} rows"

    @property
    def facts(self) -> dict[str, Any]:
        """Resource or metric, its limit and unit."""
        if self.resource is not None:
            return {"metric": self.resource, "threshold": self.at_most, "unit": "value"}
        return {
            "metric": self.metric,
            "slice": str(self.slice) if self.slice else None,
            "threshold": self.at_least if self.at_most is None else self.at_most,
            "confidence": self.confidence,
            "unit": "proportion" if self.choice.is_proportion else "value",
        }

    def plan(self, test: PlannedRows, /) -> PlanLine:
        """Count the rows on which a flawless candidate passes; a resource needs none."""
        if self.metric is None:
            return not_of_rows(self.name)
        return test.share_at_least(self.name, self.choice, self.at_least, float(self.confidence or 0))

    def decide(self, evidence: Evidence) -> GateResult:
        """Hold a resource up to and including `at_most`, or a metric's bounds; an impossible figure fails.

        A resource that was measured in several fresh processes is held by its bounds over them.
        """
        if self.resource is None:
            return self._decide_metric(evidence)
        resource, value = RESOURCES[self.resource], self._figure(self.resource, evidence)
        if not (math.isfinite(value) and (value > 0 or (value == 0 and resource.may_be_zero))):
            raise EvidenceError(
                f"The candidate's {self.resource} was measured as {value}, which cannot be.", MEASURE_AGAIN
            )
        noise = process_bounds(evidence.repeats(self.resource, self.batch_size or 1))
        seen = noise or ProcessBounds(value, value, value, 1)
        return self._held(resource, seen, evidence)

    def _held(self, resource: Resource, seen: ProcessBounds, evidence: Evidence) -> GateResult:
        bound = float(self.at_most or 0)
        outcome = at_most(bound, seen.lower, seen.upper)
        figures = {"candidate_value": seen.typical} | (_bounds(seen) if seen.processes > 1 else {})
        over = f"limit of {in_words.figure(bound)} {resource.unit}"
        disturbance = evidence.disturbance(str(self.resource), self.batch_size or 1) if resource.is_time else None
        if disturbance and outcome != "pass":  # a load only adds time: a time within its limit holds whatever the load
            return self.unsettled(
                f"{self._said(resource, seen)}, {_PLACES[outcome]} the {over}, but the machine was too busy to tell: "
                f"{disturbance}.",
                "Measure again while nothing else runs on the machine.",
                **figures,
            )
        return self.concluded(
            outcome,
            f"{self._said(resource, seen)}, {_PLACES[outcome]} the {over}.",
            lambda: _over(resource, seen.typical if outcome == "fail" else seen.upper, bound, outcome),
            **figures,
        )

    def _said(self, resource: Resource, seen: ProcessBounds) -> str:
        said = f"{self.heading}: {in_words.figure(seen.typical)} {resource.unit}"
        if seen.processes == 1:
            return said
        low, high = in_words.figure(seen.lower), in_words.figure(seen.upper)
        return f"{said} ({in_words.percent(NOISE_CONFIDENCE)} bounds {low} to {high} over {seen.processes} processes)"

    def _figure(self, resource: str, evidence: Evidence) -> float:
        figures = evidence.candidate.measured_resources("candidate")
        if self.batch_size in (None, 1):
            return figures.value(resource)
        found = [batch for batch in evidence.candidate.batches if batch.batch_size == self.batch_size]
        if not found:
            raise EvidenceError(
                f"The candidate's {resource} was not measured at {self.batch_size} rows at a time.", MEASURE_AGAIN
            )
        return float(getattr(found[0], resource))

    def standing(self, evidence: Evidence, result: GateResult, /) -> Standing | None:
        """The candidate's value of the metric; a resource is not guessed."""
        if self.metric is None or result.candidate_value is None:
            return None
        alone, choice = evidence.alone(), self.choice
        mask = alone.index.mask(choice.slice)
        guess = guessing_value(choice, alone.rows[mask], alone.alike(mask))
        return None if guess is None else Standing(choice.title, result.candidate_value, None, guess)

    def _decide_metric(self, evidence: Evidence) -> GateResult:
        choice, confidence = self.choice, float(self.confidence or 0)
        check_largest_error(evidence.alone(), choice.slice, self.largest_error)
        seen = value_with_bounds(choice, evidence.alone(), confidence, evidence)
        value, lower, upper = seen.value, seen.lower, seen.upper
        bound, higher = float(self.facts["threshold"]), choice.sign > 0
        tail = unseen_tail(self.metric, seen.groups or seen.n, value, bound, confidence)
        shown = at_least(bound, lower, upper) if higher else at_most(bound, lower, upper)
        outcome = with_tail(shown, tail, self.largest_error)
        counted = in_words.rows_in_groups(seen.n, seen.groups)
        unseen = in_words.unseen_errors(tail, confidence, self.largest_error)
        said, low, high, limit = (in_words.metric_value(choice.is_proportion, x) for x in (value, lower, upper, bound))
        return self.concluded(
            outcome,
            f"{self.heading}: {said} ({in_words.percent(confidence)} bounds {low} to {high}) on "
            f"{counted}; {'at least' if higher else 'at most'} {limit} is asked for. {unseen}".strip(),
            lambda: (
                _missed(choice, outcome, value, bound)
                if shown == outcome
                else in_words.rows_for_the_tail(self.metric, value, bound, self.largest_error, confidence)
            ),
            findings=(unseen,) if unseen else (),
            estimate=value,
            lower=lower,
            upper=upper,
            n=seen.n,
            groups=seen.groups,
            candidate_value=value,
        )


def _bounds(seen: ProcessBounds) -> dict[str, float]:
    return {"estimate": seen.typical, "lower": seen.lower, "upper": seen.upper, "confidence": NOISE_CONFIDENCE}


def _over(resource: Resource, value: float, bound: float, outcome: GateOutcome) -> str:
    excess, factor = in_words.figure(value - bound), math.ceil(100 * value / bound) / 100
    smaller = f"{factor:.2f} times {resource.less}"
    if outcome == "inconclusive":
        return f"It may hold, but it varies too much to tell: make it {smaller}, or raise the device's budget."
    return f"{excess} {resource.unit} too much: make it {smaller}, or raise the device's budget."


def _missed(choice: MetricChoice, outcome: GateOutcome, value: float, bound: float) -> str:
    better = value > bound if choice.sign > 0 else value < bound
    if outcome == "inconclusive" and better:
        return "It may hold, but these rows do not show it: measure on more rows."
    limit = in_words.percent(bound) if choice.is_proportion else in_words.metric_value(False, bound)
    if choice.sign > 0:
        return f"The candidate must reach {limit} here, or the gate must allow less."
    return f"The candidate must come down to {limit} here, or the gate must allow more."

"""What a release must hold: gates with thresholds, none of which has a default."""

from collections import Counter
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, ValidationInfo, field_validator, model_validator

from quality_gates.errors import PolicyError
from quality_gates.policy.conditions import Setting, SliceCondition
from quality_gates.policy.metric_choice import Confidence, MetricChoice, below_one_for_proportions
from quality_gates.policy.resource_limit import Limit, ResourceName

__all__ = [
    "Calibration",
    "Flips",
    "FoundSlices",
    "Gate",
    "GatePolicy",
    "Limit",
    "NonInferiority",
    "Parity",
    "ParityCheck",
    "Plausibility",
    "Reference",
    "Representative",
    "ResourceName",
    "SliceCondition",
]

Reference: TypeAlias = Literal["parent", "deployed"]
OnInconclusive: TypeAlias = Literal["fail", "warn"]
ParityCheck: TypeAlias = Literal[
    "torch_onnx", "batched_single", "optimized_plain", "reloaded_original", "emulated_native"
]
Name: TypeAlias = Annotated[str, Field(min_length=1)]
Share: TypeAlias = Annotated[float, Field(strict=True, ge=0, lt=1)]


class NonInferiority(MetricChoice):
    """The candidate may lose at most `margin` of a metric against a reference, shown at `confidence`.

    Paired over the same test rows. `margin` is in the metric's own unit: for a proportion 0.02 allows a loss of two
    points; 0 demands a measurable improvement. `confidence` is one-sided. `slice` narrows the gate to some rows.
    `on_inconclusive="warn"` lets a gate without enough rows be shown without blocking the release.
    """

    kind: Literal["non_inferiority"] = "non_inferiority"
    name: Name
    against: Reference
    margin: float = Field(strict=True, ge=0)
    confidence: Confidence
    on_inconclusive: OnInconclusive = "fail"

    @field_validator("margin")
    @classmethod
    def _margin_fits(cls, margin: float, info: ValidationInfo) -> float:
        return below_one_for_proportions(info.data.get("metric"), margin)


class Flips(Setting):
    """At most a share of the rows may flip from right to wrong, shown at `confidence`: exact upper bound.

    Source of the measure, there called negative flip rate: Yan S and others. Positive-congruent training. CVPR 2021.
    """

    kind: Literal["flips"] = "flips"
    name: Name
    against: Reference = "deployed"
    at_most: Share
    confidence: Confidence
    slice: SliceCondition | None = None
    on_inconclusive: OnInconclusive = "fail"


class Parity(Setting):
    """Two ways of running the candidate answer the same.

    `at_most` bounds the largest difference of an output, as a share of the largest output; `rows_at_most` the share of
    rows whose answer differs.
    """

    kind: Literal["parity"] = "parity"
    name: Name
    check: ParityCheck
    at_most: float = Field(strict=True, ge=0)
    rows_at_most: Share


class Calibration(Setting):
    """The expected calibration error is at most so much, and rises at most so much over the parent's.

    Upper bounds at `confidence`, over `bins` bins of equal width. One of the two bounds may be left out.
    """

    kind: Literal["calibration"] = "calibration"
    name: Name
    bins: int = Field(strict=True, ge=2, le=100)
    at_most: Share | None = None
    rise_at_most: Share | None = None
    confidence: Confidence
    slice: SliceCondition | None = None
    on_inconclusive: OnInconclusive = "fail"

    @model_validator(mode="after")
    def _bounds_something(self) -> Self:
        if self.at_most is None and self.rise_at_most is None:
            raise PolicyError("expected `at_most`, `rise_at_most` or both, got neither; add one, none has a default")
        return self


class Plausibility(MetricChoice):
    """A gain over the parent that is shown to be larger than `gain_at_most` stops the line: a leak is likelier."""

    kind: Literal["plausibility"] = "plausibility"
    name: Name
    gain_at_most: float = Field(strict=True, ge=0)
    confidence: Confidence

    @field_validator("gain_at_most")
    @classmethod
    def _gain_fits(cls, gain: float, info: ValidationInfo) -> float:
        return below_one_for_proportions(info.data.get("metric"), gain)


class FoundSlices(Setting):
    """No region of the data that nobody named is shown to have lost more than `margin`.

    The validation rows are searched for the `carried` weakest regions (single values, bins of numbers, pairs of
    columns) of at least `min_rows` rows; the test rows decide about each of them, corrected for their number.
    """

    kind: Literal["found_slices"] = "found_slices"
    name: Name
    against: Reference
    columns: tuple[str, ...] | None = Field(default=None, min_length=1)
    min_rows: int = Field(strict=True, ge=2)
    carried: int = Field(strict=True, ge=1)
    margin: Share
    confidence: Confidence


class Representative(Setting):
    """The rows that were taught and calibrated with are like those of the deployment sites.

    What is compared, and with which thresholds, says whoever compares; the gate holds what came of it.
    """

    kind: Literal["representativeness"] = "representativeness"
    name: Name
    on_inconclusive: OnInconclusive = "fail"


Gate: TypeAlias = Annotated[
    NonInferiority | Limit | Flips | Parity | Calibration | Plausibility | Representative | FoundSlices,
    Field(discriminator="kind"),
]
DECIDED_ONCE = (FoundSlices, Representative)
"""Kinds that no snapshot or rung is chosen by: they need the test rows, or are not about the candidate."""
BY_ANSWERS = frozenset({"non_inferiority", "limit", "flips", "calibration", "plausibility"})
"""Kinds that look at rows, so that a model in any form can be held against them; a limit where it is on a metric."""


class GatePolicy(Setting):
    """All the gates of a release. Every one of them must pass."""

    gates: tuple[Gate, ...] = Field(min_length=1)

    @field_validator("gates")
    @classmethod
    def _names_are_unique(cls, gates: tuple[Gate, ...]) -> tuple[Gate, ...]:
        twice = [name for name, count in Counter(gate.name for gate in gates).items() if count > 1]
        if twice:
            raise PolicyError(f"Every gate needs a name of its own; {', '.join(twice)} is used twice. Rename one.")
        return gates

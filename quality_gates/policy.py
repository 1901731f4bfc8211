"""What a release must hold: gates with thresholds, none of which has a default."""

from collections import Counter
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator

from quality_gates.errors import PolicyError

Reference: TypeAlias = Literal["parent", "deployed"]
Resource: TypeAlias = Literal["size_bytes", "peak_rss_mb", "load_ms", "latency_p50_ms", "latency_p99_ms"]


class _Policy(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SliceCondition(_Policy):
    """The test rows whose `column` equals a value. `8`, `"8"` and `true` are three different values."""

    column: str = Field(min_length=1)
    equals: str | int | float | bool

    def __str__(self) -> str:
        return f"{self.column} = {self.equals}"


class NonInferiority(_Policy):
    """The candidate may lose at most `margin` of a metric against a reference, shown at `confidence`.

    Paired over the same test rows, Tango's score interval (quality_gates.tango). `margin` is a difference of
    proportions: 0.02 allows a loss of two points; 0 demands a measurable improvement. `confidence` is one-sided;
    quality_gates.tango says how closely it holds on few rows. `slice` narrows the gate to some rows: recall of class k
    is accuracy on the slice `label == k`.
    `on_inconclusive="warn"` lets a gate without enough rows be shown without blocking the release.
    """

    kind: Literal["non_inferiority"] = "non_inferiority"
    name: str = Field(min_length=1)
    metric: Literal["accuracy"]
    against: Reference
    margin: float = Field(strict=True, ge=0, lt=1)
    confidence: float = Field(strict=True, gt=0.5, lt=1)
    slice: SliceCondition | None = None
    on_inconclusive: Literal["fail", "warn"] = "fail"


class Limit(_Policy):
    """A resource of the candidate that may be `at_most` so much, in the unit that the resource's name ends in."""

    kind: Literal["limit"] = "limit"
    name: str = Field(min_length=1)
    resource: Resource
    at_most: float = Field(strict=True, gt=0)


Gate: TypeAlias = Annotated[NonInferiority | Limit, Field(discriminator="kind")]


class GatePolicy(_Policy):
    """All the gates of a release. Every one of them must pass."""

    gates: tuple[Gate, ...] = Field(min_length=1)

    @field_validator("gates")
    @classmethod
    def _names_are_unique(cls, gates: tuple[Gate, ...]) -> tuple[Gate, ...]:
        twice = [name for name, count in Counter(gate.name for gate in gates).items() if count > 1]
        if twice:
            raise PolicyError(f"Every gate needs a name of its own; {', '.join(twice)} is used twice. Rename one.")
        return gates

"""The limit gate: an absolute bound on a resource or on a metric."""

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from edge_runtime.measurement import RESOURCES
from quality_gates.errors import PolicyError
from quality_gates.policy.conditions import Setting, SliceCondition, Value, one_of
from quality_gates.policy.metric_choice import Confidence, Metric, MetricChoice

ENERGY = "energy_mj"
BATCHED = tuple(name for name, resource in RESOURCES.items() if resource.batched)


def _measured(resource: object) -> object:
    if resource == ENERGY:
        raise PolicyError(
            f"expected a resource that can be measured, got {ENERGY}; nothing here reads a power sensor, so the gate "
            "could never pass: remove the gate"
        )
    return resource


ResourceName: TypeAlias = Annotated[str, one_of(RESOURCES), BeforeValidator(_measured)]


class Limit(Setting):
    """A resource of the candidate that may be `at_most` so much, or a metric that is to be `at_least` or `at_most` so.

    Resources are in the unit that their name ends in; a latency is that of one row unless `batch_size` says more. A
    metric is held by its confidence bound, so it needs a `confidence`.
    """

    kind: Literal["limit"] = "limit"
    name: str = Field(min_length=1)
    resource: ResourceName | None = None
    batch_size: int | None = Field(default=None, strict=True, ge=1)
    at_most: float | None = Field(default=None, strict=True, gt=0)
    at_least: float | None = Field(default=None, strict=True)
    metric: Metric | None = None
    of: Value | None = None
    better: Literal["higher", "lower"] | None = None
    slice: SliceCondition | None = None
    confidence: Confidence | None = None
    on_inconclusive: Literal["fail", "warn"] = "fail"

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.resource is None) == (self.metric is None):
            raise PolicyError("expected either a `resource` or a `metric`, got both or none; keep one")
        if self.metric is not None:
            self._check_metric()
        elif self.at_most is None:
            raise PolicyError(f"expected `at_most` for {self.resource}, got none; add it, it has no default")
        elif (self.at_least, self.of, self.better, self.slice, self.confidence) != (None,) * 5:
            raise PolicyError(f"{self.resource}: expected `at_most` alone, got keys of a metric; remove them")
        if self.batch_size is not None and self.resource not in BATCHED:
            raise PolicyError(f"`batch_size` is for {' and '.join(BATCHED)} only; remove it")
        return self

    @property
    def choice(self) -> MetricChoice:
        """The metric with its class and slice."""
        return MetricChoice.model_validate(
            {"metric": self.metric, "of": self.of, "better": self.better, "slice": self.slice}
        )

    def _check_metric(self) -> None:
        sign = self.choice.sign
        right, wrong = (self.at_least, self.at_most) if sign > 0 else (self.at_most, self.at_least)
        if right is None or wrong is not None:
            raise PolicyError(
                f"metric {self.metric}: expected `{'at_least' if sign > 0 else 'at_most'}`, as "
                f"{'higher' if sign > 0 else 'lower'} is better, got the other or none; correct it"
            )
        if self.confidence is None:
            raise PolicyError(f"metric {self.metric}: expected a `confidence`, got none; add it, it has no default")

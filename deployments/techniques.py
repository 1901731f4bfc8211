"""The techniques of a recipe and their parameters, as they are written in YAML."""

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, field_validator

from deployments.yaml_file import Frozen
from edge_runtime.measurement import RESOURCES
from model_compression.pruning import Criterion, Kind, Resource
from model_compression.training import Device, FineTuning, Precision
from quality_gates.policy import one_of

Calibration = Literal["minmax", "entropy", "percentile"]
OBJECTIVES = {name: resource.objective for name, resource in RESOURCES.items() if resource.objective is not None} | {
    "accuracy": "the best validation accuracy"
}
"""A description of the best file by each objective."""
Objective: TypeAlias = Annotated[str, one_of(OBJECTIVES)]
Share = Annotated[float, Field(ge=0, le=1)]


class FineTune(Frozen):
    """How long and how hard to train, and how much of the loss is the parent's answer."""

    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=2)]
    learning_rate: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    temperature: Annotated[float, Field(gt=0)]
    distillation_weight: Share
    seed: int
    patience: Annotated[int, Field(ge=1)] | None = None  # epochs without a better validation score, then it stops
    device: Device = "auto"
    precision: Precision = "auto"
    gpus: Annotated[int, Field(ge=1)] = 1

    def settings(self) -> FineTuning:
        """The same as the training loop takes it."""
        return FineTuning(**self.model_dump())


class Vocabulary(Frozen):
    """Cut tables of tokens to those that occur in `seen` places or more of the training rows.

    All others share the row of the token `unknown`.
    """

    unknown: Annotated[int, Field(ge=0)]
    seen: Annotated[int, Field(ge=1)]


class Prune(Frozen):
    """Remove units in rounds until every device's budgets hold, the accuracy floor, or nothing is left to remove.

    `ratio` is the share that a round frees of what the units take of the resource that they are weighed by: their
    number of channels, the bytes of their weights, the activation memory at its peak, or their measured latency.
    `binding` takes in each round the one whose budget is furthest away.
    """

    kind: Literal["structured"]
    units: Annotated[tuple[Kind, ...], Field(min_length=1, strict=False)]
    importance: Criterion
    weigh_by: Literal["channels", "binding"] | Resource
    ratio: Annotated[float, Field(gt=0, le=0.5)]
    max_rounds: Annotated[int, Field(ge=1)]
    round_to: Annotated[int, Field(ge=1)]
    vocabulary: Vocabulary | None = None
    accuracy_floor: Share  # the most validation accuracy a snapshot may lose against the parent
    at_most: Mapping[Kind, Share] = Field(
        default_factory=dict
    )  # of the parent's units of a kind, that all rounds together remove
    fine_tune: FineTune


class Distil(Frozen):
    """A student made for each device: the widest of each depth that was measured to fit, taught by the parent.

    `family` own is what the workload's build_student() returns.
    """

    family: Literal["depthwise_cnn", "signal_net", "text_net", "own"]
    widths: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1, strict=False)]
    depths: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1, strict=False)]
    fine_tune: FineTune

    @field_validator("widths", "depths")
    @classmethod
    def _ascending(cls, numbers: tuple[int, ...]) -> tuple[int, ...]:
        if list(numbers) != sorted(set(numbers)):
            raise ValueError(f"expected different numbers in ascending order, got {list(numbers)}; sort them")
        return numbers


class Search(Frozen):
    """What may be spent on finding each device's file, and what is the best of those whose gates hold on validation.

    Without it the ladder ends at the first rung that holds on the largest model that fits.
    """

    objective: Objective
    files: Annotated[int, Field(ge=1)]  # at most so many made by rungs that train nothing
    trainings: Annotated[int, Field(ge=0)]  # at most so many made by rungs that train

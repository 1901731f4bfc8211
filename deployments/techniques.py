"""The techniques of a recipe and their parameters, as they are written in YAML."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, field_validator

from deployments.yaml_file import Frozen
from model_compression.costs import Resource
from model_compression.importance import Criterion
from model_compression.training import FineTuning
from model_compression.training.settings import Device, Precision
from model_compression.units import Kind

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


class PostTraining(Frozen):
    """Rung: static post-training quantization."""

    kind: Literal["ptq"]
    calibration: Literal["minmax", "entropy", "percentile"]
    precision: Literal["int8"] = "int8"

    @property
    def title(self) -> str:
        """What reports call this rung."""
        return f"PTQ {self.calibration}"


class Dynamic(Frozen):
    """Rung: dynamic quantization, for transformers: weights ahead, activations by each row's own range."""

    kind: Literal["dynamic"]
    precision: Literal["int8"] = "int8"

    @property
    def title(self) -> str:
        """What reports call this rung."""
        return "dynamic"


class QuantizationAware(Frozen):
    """Rung: quantization-aware training, distilling from the parent."""

    kind: Literal["qat"]
    fine_tune: FineTune
    precision: Literal["int8"] = "int8"

    @property
    def title(self) -> str:
        """What reports call this rung."""
        return "QAT"


Rung = Annotated[PostTraining | Dynamic | QuantizationAware, Field(discriminator="kind")]

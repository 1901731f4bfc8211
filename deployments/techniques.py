"""The techniques of a recipe and their parameters, as they are written in YAML."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field, field_validator

from deployments.yaml_file import Frozen
from edge_runtime.measurement import RESOURCES
from model_compression.pruning import Criterion, Kind, Resource
from model_compression.quantization import Activations
from model_compression.training import Device, FineTuning, Precision
from quality_gates.policy import one_of

Calibration = Literal["minmax", "entropy", "percentile"]
Precisions = Literal["int8", "int4", "fp16", "fp32"]
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


class _Rung(Frozen):
    """One way to make a file of a float model. `cost` orders the rungs; `trains` tells the dear ones."""

    precision: Precisions = "int8"
    cost: ClassVar[int]
    trains: ClassVar[bool] = False


class AsItIs(_Rung):
    """Rung: the float file, for graphs so small that integers take longer."""

    kind: Literal["float"]
    precision: Literal["fp32"] = "fp32"
    cost = 0
    title: ClassVar[str] = "FP32"


class Half(_Rung):
    """Rung: half precision, half of the bytes."""

    kind: Literal["fp16"]
    precision: Literal["fp16"] = "fp16"
    cost = 1
    title: ClassVar[str] = "FP16"


class PostTraining(_Rung):
    """Rung: static post-training quantization. int8 activations are slow on x86; other devices may like them.

    With `float_where_faster` the layers that were measured to be slower in integers stay in float.
    """

    kind: Literal["ptq"]
    calibration: Calibration
    activations: Activations = "uint8"
    float_where_faster: bool = False
    precision: Literal["int8"] = "int8"
    cost = 3

    @property
    def title(self) -> str:
        """What reports call this rung."""
        activations = "" if self.activations == "uint8" else ", int8 activations"
        return f"PTQ {self.calibration}{activations}{', float where faster' if self.float_where_faster else ''}"


class Dynamic(_Rung):
    """Rung: dynamic quantization, for transformers: weights ahead, activations by each row's own range.

    Tables of tokens may be packed into 4 bits, for they are read and not multiplied.
    """

    kind: Literal["dynamic"]
    table_bits: Literal[4, 8] = 8
    precision: Literal["int8"] = "int8"
    cost = 2

    @property
    def title(self) -> str:
        """What reports call this rung."""
        return "dynamic" if self.table_bits == 8 else "dynamic, 4-bit tables"


class WeightOnly(_Rung):
    """Rung: matrices and tables in blocks of 4 bits, activations in float."""

    kind: Literal["int4"]
    block_size: Literal[16, 32, 64, 128, 256]
    precision: Literal["int4"] = "int4"
    cost = 2

    @property
    def title(self) -> str:
        """What reports call this rung."""
        return f"INT4 in blocks of {self.block_size}"


class Mixed(_Rung):
    """Rung: static quantization with the fewest of the most sensitive layers in float.

    So many that the validation score is at most `tolerance` below the float model's, and never more than `at_most`.
    """

    kind: Literal["mixed"]
    calibration: Calibration
    at_most: Annotated[int, Field(ge=1)]
    tolerance: Share
    precision: Literal["int8"] = "int8"
    cost = 5

    @property
    def title(self) -> str:
        """What reports call this rung."""
        return f"mixed {self.calibration}"


class QuantizationAware(_Rung):
    """Rung: quantization-aware training, distilling from the parent; `float_where_faster` as for `ptq`."""

    kind: Literal["qat"]
    fine_tune: FineTune
    float_where_faster: bool = False
    precision: Literal["int8"] = "int8"
    cost = 10
    trains = True

    @property
    def title(self) -> str:
        """What reports call this rung."""
        return "QAT, float where faster" if self.float_where_faster else "QAT"


Rung = Annotated[
    AsItIs | Half | PostTraining | Dynamic | WeightOnly | Mixed | QuantizationAware, Field(discriminator="kind")
]

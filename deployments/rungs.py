"""Rungs of the ladder: ways to make a file of a float model, each with its keys, its maker and what it costs.

A new rung is a class here and an entry in `Rung`; mypy refuses an entry that lacks a title or a way to make its file.
"""

import logging
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Protocol

import numpy as np
from pydantic import Field

from deployments.rows import SplitName
from deployments.techniques import FineTune, RangeMethod, Share
from deployments.yaml_file import Frozen
from model_compression.settings import Activations, FineTuning

logger = logging.getLogger("edgewright")
Bits = Literal["int8", "int4", "fp16", "fp32"]
BYTES: dict[Bits, float] = {"int4": 0.5, "int8": 1, "fp16": 2, "fp32": 4}


class Train(Protocol):
    """Train the float model with fake quantization on the parent's answers too, and export it into a file."""

    def __call__(self, path: Path, settings: FineTuning, *, reduce_range: bool, in_float: Sequence[str]) -> object:
        """Write the file to `path`. `reduce_range` keeps weights to 7 bits; the layers `in_float` stay float."""


@dataclass(frozen=True)
class FloatModel:
    """A float model that a rung makes a file of, with the rows and the settings that making it may need.

    `score` takes outputs for the `validation` rows. `reduce_range` keeps INT8 weights to 7 bits, `in_float` names the
    layers that stay in float, `train` is the way to train the model.
    """

    file: Path
    calibration: tuple[np.ndarray, ...]
    validation: tuple[np.ndarray, ...]
    score: Callable[[np.ndarray], float]
    reduce_range: bool
    in_float: tuple[str, ...]
    train: Train


class RungKind(Frozen, ABC):
    """One way to make a file of a float model.

    `precision` is what the device must allow; `cost` orders the rungs; `trains` tells the costly ones. `static` says
    that activation ranges are fixed ahead by calibration rows. `reads` names the splits that the file depends on beside
    the float model. `maker` names the function of `model_compression.quantization` whose source code the cached file
    depends on; it is imported when a file is made, since a recipe is read by much that makes none.
    """

    precision: ClassVar[Bits]
    cost: ClassVar[int]
    trains: ClassVar[bool] = False
    static: ClassVar[bool] = False
    reads: ClassVar[tuple[SplitName, ...]] = ()
    maker: ClassVar[str] = ""

    @property
    @abstractmethod
    def title(self) -> str:
        """The name of this rung in reports."""

    @abstractmethod
    def make(self, model: FloatModel, path: Path) -> object:
        """Write the file. Raises QuantizationError where the model does not take the rung."""

    @property
    def bytes_per_parameter(self) -> float:
        """The fewest bytes that a parameter can take in the file."""
        return BYTES[self.precision]

    @property
    def leaves_in_float(self) -> bool:
        """True where layers stay in float because that was measured to be faster, whatever the file then weighs."""
        return getattr(self, "float_where_faster", False) is True

    @property
    def may_leave_in_float(self) -> bool:
        """True where layers stay in float if latency matters and the file keeps its budget of bytes."""
        return getattr(self, "float_where_faster", False) is None


class AsItIs(RungKind):
    """The float file: for graphs so small that integers take longer."""

    kind: Literal["float"]
    precision = "fp32"
    cost = 0

    @property
    def title(self) -> str:
        """The name of this rung in reports."""
        return "FP32"

    def make(self, model: FloatModel, path: Path) -> object:
        """Copy the float file."""
        return shutil.copyfile(model.file, path)


class Half(RungKind):
    """Half precision: half of the bytes."""

    kind: Literal["fp16"]
    precision = "fp16"
    cost = 1
    maker = "convert_to_half"

    @property
    def title(self) -> str:
        """The name of this rung in reports."""
        return "FP16"

    def make(self, model: FloatModel, path: Path) -> object:
        """Convert weights and activations to half precision."""
        from model_compression.quantization import convert_to_half

        return convert_to_half(model.file, path)


class PostTraining(RungKind):
    """Static post-training quantization: INT8 weights and activations, with ranges from the calibration rows."""

    kind: Literal["ptq"]
    calibration: RangeMethod
    """Rule for the range of an activation: all values, a percentile of them, or the least loss of entropy."""
    activations: Activations = "uint8"
    """Type of activations. int8 is slow on x86 and may be faster on other devices."""
    float_where_faster: bool | None = None
    """True leaves in float the runs of layers that were measured to be slower in integers; false leaves none. Without
    the key, they are left where latency matters on the device and the file then keeps its budget of bytes."""
    precision = "int8"
    cost = 3
    static = True
    reads = ("calibration",)
    maker = "quantize_after_training"

    @property
    def title(self) -> str:
        """The name of this rung in reports."""
        activations = "" if self.activations == "uint8" else ", int8 activations"
        return f"PTQ {self.calibration}{activations}{', float where faster' if self.float_where_faster else ''}"

    def make(self, model: FloatModel, path: Path) -> object:
        """Quantize weights and activations with ranges seen on the calibration rows."""
        from model_compression.quantization import quantize_after_training

        return quantize_after_training(
            model.file, model.calibration, path, method=self.calibration, reduce_range=model.reduce_range,
            activations=self.activations, in_float=model.in_float,
        )  # fmt: skip


class Dynamic(RungKind):
    """Dynamic quantization, for transformers: INT8 weights, and activations by the range of each row."""

    kind: Literal["dynamic"]
    table_bits: Literal[4, 8] = 8
    """Bits of a token's row in its table. 4 is possible because tables are read and not multiplied."""
    precision = "int8"
    cost = 2
    maker = "quantize_dynamically"

    @property
    def title(self) -> str:
        """The name of this rung in reports."""
        return "dynamic" if self.table_bits == 8 else "dynamic, 4-bit tables"

    @property
    def bytes_per_parameter(self) -> float:
        """The fewest bytes that a parameter can take in the file."""
        return self.table_bits / 8

    def make(self, model: FloatModel, path: Path) -> object:
        """Quantize the weights; activations are quantized as they come."""
        from model_compression.quantization import quantize_dynamically

        return quantize_dynamically(model.file, path, reduce_range=model.reduce_range, table_bits=self.table_bits)


class WeightOnly(RungKind):
    """Weight-only quantization: matrices and tables in blocks of 4 bits, activations in float."""

    kind: Literal["int4"]
    block_size: Literal[16, 32, 64, 128, 256]
    """Weights that share one scale."""
    precision = "int4"
    cost = 2
    maker = "quantize_weights"

    @property
    def title(self) -> str:
        """The name of this rung in reports."""
        return f"INT4 in blocks of {self.block_size}"

    def make(self, model: FloatModel, path: Path) -> object:
        """Pack the weights into blocks of 4 bits."""
        from model_compression.quantization import quantize_weights

        return quantize_weights(model.file, path, block_size=self.block_size)


class Mixed(RungKind):
    """Static post-training quantization that leaves the most sensitive layers in float, as few as possible."""

    kind: Literal["mixed"]
    calibration: RangeMethod
    """Rule for the range of an activation: all values, a percentile of them, or the least loss of entropy."""
    at_most: Annotated[int, Field(ge=1)]
    """Largest number of layers that stay in float."""
    tolerance: Share
    """Validation score that the file may lose against the float model; no more layers stay in float than that needs."""
    precision = "int8"
    cost = 5
    static = True
    reads = ("calibration", "validation")
    maker = "quantize_mixed"

    @property
    def title(self) -> str:
        """The name of this rung in reports."""
        return f"mixed {self.calibration}"

    def make(self, model: FloatModel, path: Path) -> object:
        """Quantize all but the layers that cost most on some validation rows."""
        from model_compression.quantization import quantize_mixed

        found = quantize_mixed(
            model.file, model.calibration, model.validation, model.score, path, method=self.calibration,
            reduce_range=model.reduce_range, at_most=self.at_most, tolerance=self.tolerance,
        )  # fmt: skip
        in_float = ", ".join(found.in_float) or "nothing"
        logger.info("%s: %s in float, score %.4f of %.4f", self.title, in_float, found.score, found.whole)
        return found


class QuantizationAware(RungKind):
    """Quantization-aware training: the model is trained with its rounding, on the parent's answers too."""

    kind: Literal["qat"]
    fine_tune: FineTune
    """The training."""
    float_where_faster: bool | None = None
    """True leaves in float the runs of layers that were measured to be slower in integers; false leaves none. Without
    the key, they are left where latency matters on the device and the file then keeps its budget of bytes."""
    precision = "int8"
    cost = 10
    trains = True
    static = True
    reads = ("train", "calibration", "validation")
    maker = "train_quantized"

    @property
    def title(self) -> str:
        """The name of this rung in reports."""
        return "QAT, float where faster" if self.float_where_faster else "QAT"

    def make(self, model: FloatModel, path: Path) -> object:
        """Train with fake quantization, then export integers."""
        settings = self.fine_tune.settings()
        return model.train(path, settings, reduce_range=model.reduce_range, in_float=model.in_float)


RUNGS: tuple[type[RungKind], ...] = (AsItIs, Half, PostTraining, Dynamic, WeightOnly, Mixed, QuantizationAware)
"""Every rung; an entry that lacks a title or a way to make its file is an error of mypy's."""

Rung = Annotated[
    AsItIs | Half | PostTraining | Dynamic | WeightOnly | Mixed | QuantizationAware, Field(discriminator="kind")
]

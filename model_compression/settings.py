"""Settings of the algorithms, as plain values: what is removed, how units are weighed, how a model is trained.

A recipe is read and checked with these alone, so nothing here loads torch.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["channels", "heads", "layers"]
"""Kind of unit that pruning removes."""
Criterion: TypeAlias = Literal["taylor", "gradient", "magnitude"]
"""Measure of a unit's importance."""
CostKind: TypeAlias = Literal["bytes", "memory", "latency"]
"""Resource that a unit takes."""
Activations: TypeAlias = Literal["uint8", "int8"]
"""Type of quantized activations."""
Device: TypeAlias = Literal["auto", "cpu", "cuda"]
"""Hardware to train on."""
Precision: TypeAlias = Literal["auto", "float32", "bfloat16"]
"""Precision of matrix products in training."""


@dataclass(frozen=True)
class FineTuning:
    """Settings of a training: its length, its strength, and the hardware that it uses.

    `patience` stops after so many epochs without a better validation score and keeps the best epoch's weights; None
    trains to the end. `precision` auto is bfloat16 where the hardware has it and the model gains by it, else float32.
    Each batch is shared among `gpus` GPUs; a processor always counts as one.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    temperature: float
    distillation_weight: float  # share of the parent's soft labels in the loss, 0 to 1
    seed: int
    patience: int | None = None
    device: Device = "auto"
    precision: Precision = "auto"
    gpus: int = 1

"""How long and how hard to train, and on what."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from model_compression.errors import TrainingError
from model_compression.training.precision import bfloat16_pays

LossFunction = Callable[[Tensor, Tensor], Tensor]
Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True)
class FineTuning:
    """How long and how hard to train, and on what.

    `patience` stops after so many epochs without a better validation score and keeps the best epoch's weights; None
    trains to the end. `precision` auto is bfloat16 where the hardware has it and the model gains by it, else float32.
    `gpus` is how many to share each batch among; a processor is always one.
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

    def torch_device(self) -> torch.device:
        """The device to train on. Raises TrainingError when a GPU is asked for and there is none."""
        if self.device == "cuda" and not torch.cuda.is_available():
            raise TrainingError(
                "expected a GPU for `device: cuda`, got none that torch can use; set `device: auto` to train on the "
                "processor where there is none"
            )
        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return torch.device(self.device)

    def autocasts(self, model: nn.Module, device: torch.device, row: torch.Size) -> bool:
        """Whether matrix products run in bfloat16, whose range needs no loss scaling."""
        if self.precision == "auto":
            return bfloat16_pays(model, device, row)
        return self.precision == "bfloat16"

"""Several GPUs in one process: torch's DataParallel, which a pipeline's task needs no launcher for."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from model_compression.errors import TrainingError
from model_compression.training.micro_batches import SMALLEST

Forward = Callable[..., Tensor]
Replicate = Callable[[nn.Module, Sequence[int]], Forward]


def gpu_numbers(device: torch.device, wanted: int) -> list[int]:
    """The GPUs to train on, the first of them the model's own; none on a processor. Raises TrainingError."""
    if device.type != "cuda" or wanted == 1:
        return []
    found = torch.cuda.device_count()
    if found < wanted:
        raise TrainingError(
            f"expected {wanted} GPUs for `gpus: {wanted}`, got {found} that torch can use; lower `gpus` in the recipe"
        )
    return list(range(wanted))


def spread(model: nn.Module, gpus: Sequence[int], replicate: Replicate = nn.DataParallel) -> Forward:
    """The model's forward pass over several GPUs; gradients add up on the first.

    A batch that would leave one of them with a single row, which batch norm cannot train on, stays on the first.
    """
    if len(gpus) < 2:
        return model
    together = replicate(model, gpus)

    def forward(*rows: Tensor) -> Tensor:
        return together(*rows) if _smallest_part(len(rows[0]), len(gpus)) >= SMALLEST else model(*rows)

    return forward


def _smallest_part(rows: int, gpus: int) -> int:
    """Rows of the last part, as torch splits a batch: equal parts and what is left."""
    part = math.ceil(rows / gpus)
    return rows % part or part

"""Rows of data as a model takes them."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from model_compression.errors import TrainingError

Arrays = tuple[np.ndarray, ...]


def tensors(arrays: Arrays) -> tuple[Tensor, ...]:
    """View arrays as tensors, without a copy where they are writable and in order."""
    return tuple(torch.from_numpy(np.require(array, requirements=["C", "W"])) for array in arrays)


def batches(inputs: Arrays, targets: np.ndarray, size: int) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
    """Yield rows in order, `size` at a time."""
    (labels,) = tensors((targets,))
    rows = tensors(inputs)
    for start in range(0, len(labels), size):
        yield tuple(row[start : start + size] for row in rows), labels[start : start + size]


def predict(model: nn.Module, inputs: Arrays, batch_size: int = 256) -> np.ndarray:
    """Run the model in evaluation mode over all rows, on the device it is on; returns outputs of shape (rows, ...)."""
    rows = tensors(inputs)
    if not len(rows[0]):
        raise TrainingError(
            "expected at least 1 row to run the model on, got none; give every split of the workload rows"
        )
    was_training, device = model.training, device_of(model)
    model.eval()
    with torch.no_grad():
        outputs = [
            model(*(row[start : start + batch_size].to(device) for row in rows)).cpu()
            for start in range(0, len(rows[0]), batch_size)
        ]
    model.train(was_training)
    return torch.cat(outputs).numpy()


def device_of(model: nn.Module) -> torch.device:
    """The device that a model's parameters are on; the processor where it has none."""
    parameter = next(model.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device

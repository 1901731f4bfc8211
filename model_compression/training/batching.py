"""Rows of data, as tensors and in batches: in parts that fit the memory, over several GPUs."""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from model_compression.errors import TrainingError

Arrays = tuple[np.ndarray, ...]
logger = logging.getLogger("edgewright")
SMALLEST = 2  # rows, because batch norm cannot train on one
_SIGNS = ("out of memory", "not enough memory", "can't allocate memory")
Forward = Callable[..., Tensor]
Replicate = Callable[[nn.Module, Sequence[int]], Forward]


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
    """Run the model in evaluation mode over all rows, on its own device; returns outputs of shape (rows, ...).

    The model keeps its mode. Raises TrainingError for no rows.
    """
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
    """Return the device of a model's parameters; the processor where it has none."""
    parameter = next(model.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device


class MicroBatches:
    """Training steps in parts of at most `size` rows, which is halved when memory runs out."""

    def __init__(self, size: int) -> None:
        self.size = size

    def accumulate(self, batch: Tensor, clear: Callable[[], None], backward: Callable[[Tensor], float]) -> float:
        """Add up the gradients of a batch of row indices; returns its mean loss.

        `backward(part)` adds the gradients of a part, weighted by its share of the batch, and returns its weighted
        loss; `clear()` drops all gradients. Raises TrainingError when not even parts of two rows fit.
        """
        while True:
            clear()
            try:
                return sum(backward(part) for part in self._parts(batch))
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._halve(len(batch), error)

    def _parts(self, batch: Tensor) -> tuple[Tensor, ...]:
        """Split a batch into parts whose sizes differ by one at most, so that none has a single row."""
        return batch.tensor_split(min(math.ceil(len(batch) / self.size), max(1, len(batch) // SMALLEST)))

    def _halve(self, rows: int, error: Exception) -> None:
        tried = min(self.size, rows)
        if tried <= SMALLEST:
            raise TrainingError(
                f"expected {SMALLEST} rows to fit the memory in training, got: {error}; train on a machine with more "
                "memory, or make the workload's rows smaller"
            ) from error
        self.size = max(SMALLEST, tried // 2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        logger.warning("out of memory with %d rows at a time; going on with %d", tried, self.size)


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether torch ran out of memory: a type says so on a GPU, the message on the processor."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return any(sign in str(error) for sign in _SIGNS)


def gpu_numbers(device: torch.device, wanted: int) -> list[int]:
    """List the GPUs to train on, the first of them the model's own; none on a processor.

    Raises TrainingError where there are fewer than `wanted`.
    """
    if device.type != "cuda" or wanted == 1:
        return []
    found = torch.cuda.device_count()
    if found < wanted:
        raise TrainingError(
            f"expected {wanted} GPUs for `gpus: {wanted}`, got {found} that torch can use; lower `gpus` in the recipe"
        )
    return list(range(wanted))


def spread(model: nn.Module, gpus: Sequence[int], replicate: Replicate = nn.DataParallel) -> Forward:
    """Return the model's forward pass over several GPUs; gradients add up on the first.

    It is torch's DataParallel, which works in one process and needs no launcher. A batch that would leave one GPU with
    a single row, on which batch norm cannot train, stays on the first.
    """
    if len(gpus) < 2:
        return model
    together = replicate(model, gpus)

    def forward(*rows: Tensor) -> Tensor:
        return together(*rows) if _smallest_part(len(rows[0]), len(gpus)) >= SMALLEST else model(*rows)

    return forward


def _smallest_part(rows: int, gpus: int) -> int:
    """Count the rows of the last part: torch splits a batch into equal parts and a rest."""
    part = math.ceil(rows / gpus)
    return rows % part or part


@contextmanager
def channels_last(model: nn.Module) -> Iterator[None]:
    """Lay out the weights of 2-D convolutions channels-last, in place, and contiguous again at the end.

    Convolutions on images then train up to twice as fast. Values stay the same; activations follow the weights.
    """
    _lay_out(model, torch.channels_last)
    try:
        yield
    finally:
        _lay_out(model, torch.contiguous_format)


def _lay_out(model: nn.Module, memory_format: torch.memory_format) -> None:
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = module.weight.data.contiguous(memory_format=memory_format)

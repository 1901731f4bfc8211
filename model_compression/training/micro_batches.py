"""A batch that does not fit the memory goes through in parts; the step stays the same."""

import logging
import math
from collections.abc import Callable

import torch
from torch import Tensor

from model_compression.errors import TrainingError

logger = logging.getLogger("edgewright")
SMALLEST = 2  # rows: batch norm cannot train on one
_SIGNS = ("out of memory", "not enough memory", "can't allocate memory")


class MicroBatches:
    """Runs steps in parts of at most `size` rows, and halves the parts when memory runs out."""

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
        """Parts whose sizes differ by one at most, so that none is left with a single row."""
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
    """Whether torch ran out of memory: it says so by type on a GPU, and in words on the processor."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return any(sign in str(error) for sign in _SIGNS)

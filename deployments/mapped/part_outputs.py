"""Outputs of a model for all rows of a split: answered a part at a time, and written to a file part by part."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from deployments.errors import ConfigurationError

MOST_BYTES = 256 << 20
"""Outputs that are held in memory at a time."""
_FIRST_ROWS = 2
Rows = tuple[np.ndarray, ...]
Answer = Callable[[Rows], np.ndarray]
"""A model's function of some rows: one array for each input, and outputs (rows, ...)."""


def outputs_in_parts(answer: Answer, rows: Rows) -> Iterator[np.ndarray]:
    """Yield a model's outputs for all rows in order, all of them at once where they are few bytes.

    The masks of thousands of images would fill the memory. The bytes of a row are those of the first answers.
    """
    first, count = answer(tuple(array[:_FIRST_ROWS] for array in rows)), len(rows[0])
    step = max(MOST_BYTES // max(first[:1].nbytes, 1), _FIRST_ROWS)
    for start in range(0, count, step):
        part = tuple(array[start : start + step] for array in rows)
        yield first if count <= _FIRST_ROWS else _checked(answer(part), part)


def _checked(outputs: np.ndarray, rows: Rows) -> np.ndarray:
    if len(outputs) != len(rows[0]):
        raise ConfigurationError(
            f"expected one output for each of {len(rows[0])} rows, got shape {outputs.shape}; register a model that "
            "keeps the rows on its first axis"
        )
    return outputs


def write_outputs(path: Path, answer: Answer, rows: Rows) -> np.ndarray:
    """Write a model's outputs for all rows to a .npy file, and return them as a read-only map of it."""
    count, start, written = len(rows[0]), 0, None
    for part in outputs_in_parts(answer, rows):
        if written is None:
            written = np.lib.format.open_memmap(path, mode="w+", dtype=part.dtype, shape=(count, *part.shape[1:]))
        written[start : start + len(part)] = part
        start += len(part)
        written.flush()
    outputs: np.ndarray = np.load(path, mmap_mode="r")
    return outputs


def answered_at_once(outputs: np.ndarray) -> Iterator[np.ndarray]:
    """Yield views of outputs (rows, ...) in order, each of as many bytes as are answered at a time.

    What a workload's functions make of them is then as bounded as the outputs are. Outputs without rows are one part.
    """
    step = max(MOST_BYTES // max(outputs[:1].nbytes, 1), 1)
    for start in range(0, max(len(outputs), 1), step):
        yield outputs[start : start + step]

"""Arrays of files that are mapped into memory: read part by part, and changeable without a copy of the whole."""

import mmap
from collections.abc import Iterator

import numpy as np

_AT_ONCE = 16 << 20
"""Bytes of rows that are looked at together."""


def parts_of(array: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the rows of an array (rows, ...) in order, some megabytes at a time, as views."""
    size = max(array[:1].nbytes, 1)
    step = max(_AT_ONCE // size, 1)
    for start in range(0, len(array), step):
        yield array[start : start + step]


def changeable(array: np.ndarray) -> np.ndarray:
    """Return a read-only map of a file as one whose changes stay in memory (copy on write); others as they are.

    What trains asks for arrays that can be written to, and would take a copy of any other one as a whole.
    """
    root = _root(array)
    if array.flags.writeable or not array.flags.c_contiguous or root is None or not root.filename:
        return array
    offset = root.offset + array.__array_interface__["data"][0] - root.__array_interface__["data"][0]
    return np.memmap(root.filename, dtype=array.dtype, mode="c", offset=offset, shape=array.shape)


def _root(array: np.ndarray) -> np.memmap | None:
    """Return the map of a file that an array is, or is a view of."""
    found: object = array
    while isinstance(found, np.ndarray):
        if isinstance(found, np.memmap) and isinstance(found.base, mmap.mmap):
            return found
        found = found.base
    return None

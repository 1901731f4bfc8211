"""Rows in .npy files, read and written a batch at a time: what is measured must not hold all rows in memory.

A mapped array would not do, because its pages count as resident memory of the process that touches them.
"""

import math
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.lib import format as npy

from edge_runtime.errors import SessionError


class RowReader:
    """Reads runs of rows from a .npy file in C order."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as file:
            npy.read_magic(file)
            shape, _, self._dtype = npy.read_array_header_1_0(file)
            self._offset = file.tell()
        self.rows, self._row_shape = shape[0], shape[1:]

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return the rows from start to stop, without stop; fewer at the end of the file."""
        count = max(min(stop, self.rows) - start, 0)
        items = math.prod(self._row_shape)
        offset = self._offset + start * items * self._dtype.itemsize
        flat = np.fromfile(self._path, self._dtype, count=count * items, offset=offset)
        return flat.reshape(count, *self._row_shape)


class RowWriter:
    """Appends batches to a .npy file whose number of rows is known from the start."""

    def __init__(self, path: Path, name: str, rows: int) -> None:
        self._file = path.open("wb")
        self._name = name
        self._rows = rows
        self._kind: tuple[np.dtype, tuple[int, ...]] | None = None

    def append(self, batch: np.ndarray, rows: int) -> None:
        """Write a batch; a SessionError if it has not `rows` rows of the same kind as the batches before."""
        kind = (batch.dtype, batch.shape[1:])
        if batch.shape[:1] != (rows,):
            raise SessionError(
                f"The output {self._name} has the shape {batch.shape} for {rows} rows; its axis 0 must be the rows."
            )
        if self._kind is None:
            self._kind = kind
            header = {"descr": npy.dtype_to_descr(kind[0]), "fortran_order": False, "shape": (self._rows, *kind[1])}
            npy.write_array_header_1_0(self._file, header)
        if kind != self._kind:
            raise SessionError(f"The output {self._name} changes from {self._kind} to {kind}; rows must be alike.")
        self._file.write(np.ascontiguousarray(batch).tobytes())

    def __enter__(self) -> "RowWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

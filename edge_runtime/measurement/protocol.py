"""The folder through which a measuring process and its caller exchange files: the request, rows and the result.

Rows are read and written a batch at a time, because a measured process must not hold all of them in memory. A mapped
array would not do there: its pages count as resident memory of the process that touches them. The caller's outputs are
maps of their files, which go with the last use of them.
"""

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.lib import format as npy

from edge_runtime.errors import MeasurementFailed, SessionError
from edge_runtime.files import open_regular, write_atomic
from edge_runtime.measurement.figures import RESOURCES, Figures
from edge_runtime.measurement.records import Measurement, MeasureRequest
from edge_runtime.model_files import HeadGraph
from edge_runtime.settings import SessionSettings

PARENT = "EDGEWRIGHT_MEASURED_FOR"  # variable with the number of the process that waits for the figures
REQUEST = "request.json"
RESULT = "result.json"
_BARE, _PRIVATE = "bare_rss_mb", "private_mb"
_OPTIONAL = {each.name for each in fields(Figures) if each.default is None}
_REQUIRED = {*RESOURCES, _BARE, _PRIVATE} - _OPTIONAL
_MAX_RESULT = 1 << 20
_MAX_FAILURE = 4096  # characters: a library may quote a whole graph
_MAX_OUTPUTS = 10_000
_PLAIN = (
    "batch_size",
    "latency_warmup",
    "latency_repeats",
    "latency_batch_size",
    "latency_seconds",
    "memory_limit_mb",
)


@dataclass(frozen=True)
class MeasuringJob:
    """A request in the measuring process; `inputs` maps the names of inputs to .npy files in the folder."""

    folder: Path
    model: Path
    inputs: Mapping[str, str]
    settings: SessionSettings
    rows: int
    batch_size: int
    latency_warmup: int
    latency_repeats: int
    latency_batch_size: int
    latency_seconds: float
    memory_limit_mb: float | None
    heads: tuple[HeadGraph, ...] = ()

    @property
    def times_calls(self) -> bool:
        """True where the latency is asked for; a request for answers alone times one call."""
        return self.latency_repeats > 1

    def output(self, index: int) -> Path:
        """Return the path of the file that takes the rows of an output."""
        return self.folder / f"output-{index}.npy"


def write_request(folder: Path, request: MeasureRequest) -> None:
    """Write a request to an empty folder: the path of the model, every input as a .npy file, and the numbers."""
    names = {}
    for index, (name, array) in enumerate(request.inputs.items()):
        names[name] = f"input-{index}.npy"
        with (folder / names[name]).open("wb") as file:
            npy.write_array(file, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    document = {name: getattr(request, name) for name in _PLAIN}
    document |= {"inputs": names, "settings": request.settings.to_plain(), "rows": request.rows}
    document |= {"model": str(request.model.resolve())}
    document |= {"heads": [[head.name, str(head.path.resolve()), head.outputs] for head in request.heads]}
    (folder / REQUEST).write_text(json.dumps(document))


def read_job(path: Path) -> MeasuringJob:
    """Read what write_request wrote."""
    document = json.loads(path.read_text())
    settings = SessionSettings.from_plain(document.pop("settings"))
    heads = tuple(HeadGraph(name, Path(graph), tuple(outputs)) for name, graph, outputs in document.pop("heads"))
    model = Path(document.pop("model"))
    return MeasuringJob(folder=path.parent, model=model, settings=settings, heads=heads, **document)


def write_figures(
    job: MeasuringJob, digest: str, figures: Figures, bare_rss_mb: float, private_mb: float, outputs: int
) -> None:
    """Write the result of a measurement; the rows of its outputs are in their files already."""
    found = {**figures.known, _BARE: bare_rss_mb, _PRIVATE: private_mb}
    document = {"sha256": digest, "figures": found, "outputs": outputs}
    write_atomic(job.folder / RESULT, json.dumps(document).encode())


def write_failure(job: MeasuringJob, sentence: str) -> None:
    """Write that a measurement failed, with the reason, or its beginning."""
    write_atomic(job.folder / RESULT, json.dumps({"failure": sentence[:_MAX_FAILURE]}).encode())


def read_result(folder: Path, request: MeasureRequest) -> Measurement:
    """Read the result; MeasurementFailed when it tells of a failure, FileNotFoundError or ValueError if unreadable."""
    with open_regular(folder / RESULT) as file:
        document = json.loads(file.read(_MAX_RESULT))
    if not isinstance(document, dict):
        raise ValueError("it is no JSON object")
    if "failure" in document:
        raise MeasurementFailed(str(document["failure"]))
    if set(document) != {"sha256", "figures", "outputs"}:
        raise ValueError(f"it has the keys {sorted(document)}")
    figures = _figures(document["figures"])
    if type(document["outputs"]) is not int or not 0 < document["outputs"] <= _MAX_OUTPUTS:
        raise ValueError(f"its number of outputs is {document['outputs']!r}")
    outputs = [_output(folder, index, request.rows) for index in range(document["outputs"])]
    sha256 = str(document["sha256"])
    bare_mb, private_mb = figures.pop(_BARE), figures.pop(_PRIVATE)
    return Measurement(sha256, Figures(**figures), bare_mb, outputs, private_mb)


def _figures(document: Any) -> dict[str, float]:
    """Return the figures; those that a device's runtime of an earlier version does not know are left out."""
    if not isinstance(document, dict) or not _REQUIRED <= set(document) <= _REQUIRED | _OPTIONAL:
        raise ValueError(f"its figures are {document!r}")
    known = {name: value for name, value in document.items() if value is not None or name in _REQUIRED}
    for name, value in known.items():
        if type(value) not in (int, float) or not 0 <= value <= sys.float_info.max:  # so that NaN is none either
            raise ValueError(f"{name} is {value!r}")
    return known


def _output(folder: Path, index: int, rows: int) -> np.ndarray:
    path = folder / f"output-{index}.npy"
    with open_regular(path) as file:  # the header is held to the size: numpy would make room for whatever it says
        if npy.read_magic(file) != (1, 0):
            raise ValueError(f"output {index} is of another version of numpy's format")
        shape, _, dtype = npy.read_array_header_1_0(file)
        if shape[:1] != (rows,):
            raise ValueError(f"output {index} has {shape[0] if shape else 'no'} rows, not {rows}")
        if dtype.kind not in "biuf" or file.tell() + math.prod(shape) * dtype.itemsize != path.stat().st_size:
            raise ValueError(f"output {index} has other bytes than {shape} of {dtype}")
    array: np.ndarray = np.load(path, mmap_mode="c", allow_pickle=False)
    return array


class RowReader:
    """Reader of consecutive rows of a .npy file in C order."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as file:
            npy.read_magic(file)
            shape, _, self._dtype = npy.read_array_header_1_0(file)
            self._offset = file.tell()
        self.rows, self._row_shape = shape[0], shape[1:]

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return the rows from start up to but not including stop; fewer at the end of the file."""
        count = max(min(stop, self.rows) - start, 0)
        items = math.prod(self._row_shape)
        offset = self._offset + start * items * self._dtype.itemsize
        flat = np.fromfile(self._path, self._dtype, count=count * items, offset=offset)
        return flat.reshape(count, *self._row_shape)


class RowWriter:
    """Writer that appends batches to a .npy file; `name` is the output's, `rows` the number of rows in the end.

    It counts the rows that have a NaN or an infinity in them; integers and bools have none.
    """

    def __init__(self, path: Path, name: str, rows: int) -> None:
        self._file = path.open("wb")
        self._name = name
        self._rows = rows
        self._kind: tuple[np.dtype, tuple[int, ...]] | None = None
        self._appended = self._broken = 0
        self._first_broken: int | None = None

    def append(self, batch: np.ndarray, rows: int) -> None:
        """Append a batch; a SessionError unless it has `rows` rows of the same dtype and shape as all before."""
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
        self._count_broken(batch)

    def check_finite(self) -> None:
        """Raise MeasurementFailed where a row that was appended has a NaN or an infinity in it."""
        if self._broken:
            raise MeasurementFailed(
                f"The output {self._name}: expected finite numbers, got NaN or an infinity in {self._broken} of "
                f"{self._appended} rows, first in row {self._first_broken}; look for a division by zero, a logarithm "
                "of 0, an overflow in half precision, or rows that hold NaN themselves."
            )

    def _count_broken(self, batch: np.ndarray) -> None:
        if batch.dtype.kind == "f":
            (broken,) = np.nonzero(~np.isfinite(batch.reshape(len(batch), -1)).all(axis=1))
            if len(broken) and self._first_broken is None:
                self._first_broken = self._appended + int(broken[0])
            self._broken += len(broken)
        self._appended += len(batch)

    def __enter__(self) -> "RowWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

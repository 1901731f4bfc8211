"""The folder through which a measuring process and the one that asked for it talk: files and their names."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.errors import MeasurementFailed
from edge_runtime.files import write_atomic
from edge_runtime.measurement.figures import RESOURCES, Figures
from edge_runtime.measurement.records import Measurement, MeasureRequest
from edge_runtime.settings import SessionSettings

REQUEST = "request.json"
RESULT = "result.json"
MODEL = "model.onnx"
_BARE = "bare_rss_mb"
_PLAIN = (
    "batch_size",
    "latency_warmup",
    "latency_repeats",
    "latency_batch_size",
    "latency_seconds",
    "memory_limit_mb",
)


@dataclass(frozen=True)
class Job:
    """A request as the measuring process sees it: the model and the inputs are files in its folder."""

    folder: Path
    inputs: Mapping[str, str]
    settings: SessionSettings
    rows: int
    batch_size: int
    latency_warmup: int
    latency_repeats: int
    latency_batch_size: int
    latency_seconds: float
    memory_limit_mb: float | None

    @property
    def model(self) -> Path:
        """The model, alone in the folder."""
        return self.folder / MODEL

    def output(self, index: int) -> Path:
        """Where the rows of an output go."""
        return self.folder / f"output-{index}.npy"


def write_request(folder: Path, request: MeasureRequest) -> None:
    """Lay out a request in an empty folder: the model as a link, every input as a .npy file, and the numbers.

    The link lies alone, so weights kept beside the model are not found: they would be missing from its size.
    """
    (folder / MODEL).symlink_to(request.model.resolve())
    names = {}
    for index, (name, array) in enumerate(request.inputs.items()):
        names[name] = f"input-{index}.npy"
        with (folder / names[name]).open("wb") as file:
            np.lib.format.write_array(file, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    document = {name: getattr(request, name) for name in _PLAIN}
    document |= {"inputs": names, "settings": request.settings.to_plain(), "rows": request.rows}
    (folder / REQUEST).write_text(json.dumps(document))


def read_job(path: Path) -> Job:
    """Read what write_request wrote."""
    document = json.loads(path.read_text())
    settings = SessionSettings.from_plain(document.pop("settings"))
    return Job(folder=path.parent, settings=settings, **document)


def write_figures(job: Job, figures: Figures, bare_rss_mb: float, outputs: int) -> None:
    """Write the result of a measurement whose outputs lie in their files."""
    document = {"figures": asdict(figures) | {_BARE: bare_rss_mb}, "outputs": outputs}
    write_atomic(job.folder / RESULT, json.dumps(document).encode())


def write_failure(job: Job, sentence: str) -> None:
    """Write that a measurement failed, and why."""
    write_atomic(job.folder / RESULT, json.dumps({"failure": sentence}).encode())


def read_result(folder: Path, request: MeasureRequest) -> Measurement:
    """Read the result; MeasurementFailed when it tells of a failure, FileNotFoundError or ValueError if unreadable."""
    document = json.loads((folder / RESULT).read_text())
    if not isinstance(document, dict):
        raise ValueError("it is no JSON object")
    if "failure" in document:
        raise MeasurementFailed(str(document["failure"]))
    if set(document) != {"figures", "outputs"}:
        raise ValueError(f"it has the keys {sorted(document)}")
    figures = _figures(document["figures"])
    outputs = [_output(folder, index, request.rows) for index in range(int(document["outputs"]))]
    return Measurement(bare_rss_mb=figures.pop(_BARE), figures=Figures(**figures), outputs=outputs)


def _figures(document: Any) -> dict[str, float]:
    if not isinstance(document, dict) or set(document) != {*RESOURCES, _BARE}:
        raise ValueError(f"its figures are {document!r}")
    for name, value in document.items():
        if not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
            raise ValueError(f"{name} is {value!r}")
    return document


def _output(folder: Path, index: int, rows: int) -> np.ndarray:
    array = np.load(folder / f"output-{index}.npy", allow_pickle=False)
    if len(array) != rows:
        raise ValueError(f"output {index} has {len(array)} rows, not {rows}")
    return array

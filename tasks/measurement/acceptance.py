"""Acceptance data: what a device tests a file with before it runs it, and what it compares its own rows with later.

Golden vectors are calibration rows with the answers of the very file, as the device's class of CPU gives them. A device
of another CPU model rounds otherwise, so an answer has a tolerance. It is four times the difference that ONNX Runtime's
graph optimization makes here, and no less than a share of the largest answer: two hundredths where the graph computes
in steps of a quantized or of a half-precision number, a thousandth in float32.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from deployments.device import DeviceProfile
from edge_runtime.bundle import QUANTILES, Golden, Measured, Spread
from edge_runtime.errors import BundleError, MeasurementFailed, MeasurementInterrupted
from edge_runtime.golden import write_golden
from edge_runtime.measurement import Figures, Measurement, measure
from edge_runtime.model_files import model_digest
from tasks.emulation import answering_of, find_emulator
from tasks.errors import EmulatorMissing
from tasks.measurement.device_measurement import machine, request
from tasks.progress import as_task
from tasks.store import digest_of
from tasks.upstream import DeviceContext

logger = logging.getLogger("edgewright")
CODE = ("edge_runtime.measurement", "edge_runtime.bundle", "tasks.emulation", request, __name__)
GOLDEN = "golden.npz"
DESCRIPTION = "acceptance.json"
GOLDEN_ROWS = 8
SPREAD_ROWS = 512
BATCHES = (1, 4, 16, 64)
STEPPED, SMOOTH = 2e-2, 1e-3
_STEPPING = ("Quantize", "Integer", "NBits", "QLinear", "QGemm")
_HALF = (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)


@dataclass(frozen=True)
class Acceptance:
    """Acceptance data of one file: its golden vectors, its measured figures, and the spreads of its tensors."""

    golden_file: Path
    golden: Golden
    spreads: tuple[Spread, ...]
    measured: Measured

    @property
    def files(self) -> dict[str, Path]:
        """The files in which it is kept, by name."""
        return {name: self.golden_file.with_name(name) for name in (GOLDEN, DESCRIPTION)}

    @classmethod
    def read(cls, folder: Path) -> "Acceptance | None":
        """Read what a run kept in a folder; None, with a warning, where there is nothing that can be read."""
        try:
            kept = json.loads((folder / DESCRIPTION).read_text())
            spreads = tuple(Spread(**each | {"quantiles": tuple(each["quantiles"])}) for each in kept["spreads"])
            found = cls(folder / GOLDEN, Golden(**kept["golden"]), spreads, Measured(**kept["measured"]))
            found.golden_file.stat()
        except (OSError, ValueError, KeyError, TypeError, BundleError) as error:
            logger.warning("no acceptance data were kept with this file (%s): devices will refuse its bundle; compress "
                           "the version again", type(error).__name__)  # fmt: skip
            return None
        return found


def acceptance_of(context: DeviceContext, file: Path, figures: Figures | None) -> Acceptance:
    """Measure the acceptance data of a file on the calibration rows; they are computed once. Raises MeasurementFailed.

    `figures` are those that the gates saw.
    """
    job, device = context.job, context.device
    inputs = tuple(array[:SPREAD_ROWS] for array in job.splits["calibration"].inputs)
    known = {} if figures is None else _finite(asdict(figures))

    def produce(folder: Path) -> dict[str, Any]:
        seen = _seen(context, file, inputs)
        names = _names(file)
        golden = _golden(context, folder / GOLDEN, file, _first(inputs))
        tensors = zip((*names[0], *names[1]), (*inputs, *seen.outputs), strict=True)
        spreads = [asdict(spread) for name, array in tensors if (spread := _spread(name, array)) is not None]
        measured = asdict(Measured(known, _batch_curve(device, file, inputs)))
        kept = {"golden": asdict(golden), "spreads": spreads, "measured": measured}
        (folder / DESCRIPTION).write_text(json.dumps(kept, indent=2))
        return {"rows": len(inputs[0])}

    asked = {
        "file": model_digest(file),
        "device": digest_of(json.loads(device.model_dump_json())),
        "machine": machine(),
        "figures": known,
        **job.digests("calibration"),
    }
    stage = context.store.run("acceptance", asked, CODE, as_task("acceptance", f"acceptance {device.name}", produce))
    found = Acceptance.read(stage.folder)
    if found is None:
        raise MeasurementInterrupted(f"{stage.folder}: expected acceptance data, got none; compress the version again")
    return found


def _first(inputs: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    return tuple(array[:GOLDEN_ROWS] for array in inputs)


def _seen(context: DeviceContext, file: Path, inputs: tuple[np.ndarray, ...]) -> Measurement:
    """Return the file's answers: of an emulated CPU where the profile asks for one and it is there, else of this one."""
    device = context.device
    asked = request(device, file, inputs, latency_warmup=0, latency_repeats=1)
    where = answering_of(device)
    if where.emulated is not None:
        try:
            emulator = find_emulator(where.emulated, context.job.workspace.home)
            return emulator.measure(replace(asked, memory_limit_mb=None), device.measure.timeout_s * 10)
        except EmulatorMissing as error:
            logger.warning("%s: the golden vectors are of this machine's CPU: %s", device.name, error)
    return measure(asked, device.measure.timeout_s)


def _names(file: Path) -> tuple[list[str], list[str]]:
    graph = onnx.load(file, load_external_data=False).graph
    weights = {weight.name for weight in graph.initializer}
    inputs = [str(value.name) for value in graph.input if value.name not in weights]
    return inputs, [str(value.name) for value in graph.output]


def _golden(context: DeviceContext, path: Path, file: Path, inputs: tuple[np.ndarray, ...]) -> Golden:
    """Write golden vectors: a few rows by themselves, for a dynamically quantized answer depends on its batch mates."""
    device, names = context.device, _names(file)
    batch = min(len(inputs[0]), device.max_batch)
    answers = _seen(context, file, inputs).outputs
    plain = measure(request(device, file, inputs, "basic", latency_repeats=1), device.measure.timeout_s).outputs
    share = STEPPED if computes_in_steps(file) else SMOOTH
    outputs = dict(zip(names[1], answers, strict=True))
    tolerance = {}
    for name, array, other in zip(names[1], answers, plain, strict=True):
        expected = array.astype(np.float64)
        gap = np.abs(expected - other.astype(np.float64)).max()
        tolerance[name] = float(max(4 * gap, share * np.abs(expected).max(), 1e-6))
    write_golden(path, dict(zip(names[0], inputs, strict=True)), outputs)
    return Golden(GOLDEN, len(inputs[0]), batch, tolerance)


def computes_in_steps(file: Path) -> bool:
    """Tell whether a graph computes with quantized or half-precision numbers anywhere."""
    graph = onnx.load(file, load_external_data=False).graph
    stepping = any(mark in node.op_type for node in graph.node for mark in _STEPPING)
    casts = (attribute.i for node in graph.node for attribute in node.attribute if attribute.name == "to")
    return stepping or any(kind in _HALF for kind in (*casts, *(weight.data_type for weight in graph.initializer)))


def _spread(name: str, array: np.ndarray) -> Spread | None:
    """Return the spread of a tensor's values; None for a tensor that has none."""
    values = array.astype(np.float64).ravel()
    if not values.size or not np.isfinite(values).all():
        return None
    quantiles = tuple(float(each) for each in np.quantile(values, QUANTILES))
    return Spread(name, len(array), float(values.mean()), float(values.std()), quantiles)


def _batch_curve(device: DeviceProfile, file: Path, inputs: tuple[np.ndarray, ...]) -> dict[str, float]:
    """Return the median milliseconds of a call by its rows; without the sizes that the graph does not take."""
    curve = {}
    for size in (size for size in BATCHES if size <= min(device.max_batch, len(inputs[0]))):
        rows = tuple(array[:size] for array in inputs)
        try:
            seen = measure(request(device, file, rows, latency_batch_size=size), device.measure.timeout_s)
        except MeasurementFailed as error:
            logger.info("%s: no time of %d rows at once: %s", device.name, size, error)
            break
        curve[str(size)] = seen.figures.latency_p50_ms
    return curve


def _finite(figures: Mapping[str, float | int | None]) -> dict[str, float]:
    return {name: value for name, value in figures.items() if isinstance(value, int | float) and np.isfinite(value)}

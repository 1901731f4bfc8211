"""Times of one architecture's files in turns, and the file that is chosen where latency is the objective.

Nothing else may run on the machine meanwhile.
"""

import json
import logging
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from edge_runtime.errors import MeasurementFailed
from edge_runtime.files import write_atomic
from edge_runtime.measurement import MeasureRequest, TurnLatency, measure_in_turns, too_busy
from edge_runtime.settings import SessionSettings
from model_compression.errors import QuantizationError
from model_compression.quantization import answers, faster_in_float, quantize_after_training
from tests.benchmarks.zoo.data import Data, load
from tests.benchmarks.zoo.measured.files import CHOSEN, FLOAT, PTQ, STATIC, TIMES
from tests.benchmarks.zoo.models import ENTRIES

ALIKE = 1.015  # as tasks.selection.float_guard has it
CLEARLY_FASTER = 1.1  # a file of integers that needs no search for layers that are faster in float
TRIES = 2
TIMEOUT_S = 60.0


def main(name: str, folder: Path, code: str) -> None:
    """Choose the file, time it beside the others, and write what was found."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    data = load(ENTRIES[name].data)
    found: dict[str, Any] = {"code": code}
    found |= _chosen(folder, data)
    found |= _timed(folder, data, {"float": FLOAT, "ptq": PTQ, "static": STATIC, "chosen": CHOSEN}, "last")
    found["chosen_score"] = data.score(answers(folder / CHOSEN, data.validation.inputs))
    write_atomic(folder / TIMES, json.dumps(found).encode())


def _chosen(folder: Path, data: Data) -> dict[str, Any]:
    """Choose as the pipeline does: integers, with layers in float where that is faster, or the float file."""
    if not (folder / PTQ).is_file():
        shutil.copyfile(folder / FLOAT, folder / CHOSEN)
        return {"choice": "float"}
    first = _timed(folder, data, {"float": FLOAT, "ptq": PTQ}, "first")
    medians = first["first"]
    candidate, choice = PTQ, "ptq"
    if medians and medians["float"] < CLEARLY_FASTER * medians["ptq"]:
        candidate, choice = _with_islands(folder, data)
        if choice == "ptq with layers in float":
            medians = _timed(folder, data, {"float": FLOAT, "ptq": candidate}, "second")["second"]
    if not medians or medians["ptq"] > ALIKE * medians["float"]:
        candidate, choice = FLOAT, "float"
    shutil.copyfile(folder / candidate, folder / CHOSEN)
    return {"choice": choice}


def _with_islands(folder: Path, data: Data) -> tuple[str, str]:
    calibration = data.calibration.inputs
    try:
        layers = faster_in_float(folder / FLOAT, calibration)
        if not layers:
            return PTQ, "ptq"
        quantize_after_training(
            folder / FLOAT, calibration, folder / "islands.onnx", method="minmax", reduce_range=False, in_float=layers
        )
    except QuantizationError:
        return FLOAT, "float"
    return "islands.onnx", "ptq with layers in float"


def _timed(folder: Path, data: Data, files: Mapping[str, str], key: str) -> dict[str, Any]:
    """Time files in turns on one row; again where the machine was too busy, and `KEY_busy` says so in the end."""
    there = {role: folder / file for role, file in files.items() if (folder / file).is_file()}
    rows = tuple(array[:1] for array in data.validation.inputs)
    results: Mapping[str, TurnLatency | MeasurementFailed] = {}
    busy: str | None = "not timed"
    for _ in range(TRIES):
        results = measure_in_turns(
            {role: MeasureRequest(path, _inputs(path, rows), SessionSettings(threads=1), latency_repeats=80,
                                  latency_seconds=1.5) for role, path in there.items()},
            TIMEOUT_S,
        )  # fmt: skip
        times = {role: result for role, result in results.items() if isinstance(result, TurnLatency)}
        busy = too_busy(times)
        if busy is None:
            break
    failed = {role: str(result) for role, result in results.items() if not isinstance(result, TurnLatency)}
    return {key: {role: each.latency_p50_ms for role, each in times.items()}, f"{key}_busy": busy,
            f"{key}_failed": failed}  # fmt: skip


def _inputs(path: Path, rows: tuple[np.ndarray, ...]) -> dict[str, np.ndarray]:
    names = [value.name for value in ort.InferenceSession(str(path), providers=["CPUExecutionProvider"]).get_inputs()]
    return dict(zip(names, rows, strict=True))

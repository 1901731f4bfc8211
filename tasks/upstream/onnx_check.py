"""Whether an ONNX upstream can go on: shown by ONNX Runtime on real rows, in a process that may crash."""

import numpy as np
import onnx
import onnxruntime as ort

from edge_runtime.errors import MeasurementFailed
from edge_runtime.measurement import MeasureRequest, measure
from edge_runtime.settings import SessionSettings
from model_compression.errors import IntakeError
from model_compression.intake import graph_inputs
from model_compression.training import Arrays
from tasks.job import Job
from tasks.upstream.input_check import check_rows
from tasks.upstream.parents import OnnxParent
from tasks.upstream.trainability import check_rungs

TOGETHER, ALONE = 64, 8
TIMEOUT_S = 300.0
SAME = 1e-3  # of the largest answer: float kernels differ in summation order


def checked(job: Job, parent: OnnxParent) -> OnnxParent:
    """Return the parent once the recipe has rungs for it, the rows fit it, and it answers each row by itself.

    Raises PreflightError for the first two and IntakeError for the third.
    """
    check_rungs(job, parent)
    inputs = graph_inputs(onnx.load(parent.file))
    check_rows(job, [(dtype, shape[1:]) for _, dtype, shape in inputs])
    rows = tuple(array[:TOGETHER] for array in job.splits["validation"].inputs)
    together = _answers(parent, [name for name, *_ in inputs], rows, TOGETHER)
    alone = _answers(parent, [name for name, *_ in inputs], tuple(array[:ALONE] for array in rows), 1)
    _check_finite(together)
    _check_same(together[: len(alone)], alone)
    return parent


def _answers(parent: OnnxParent, names: list[str], rows: Arrays, batch_size: int) -> np.ndarray:
    asked = MeasureRequest(
        parent.file, dict(zip(names, rows, strict=True)), SessionSettings(threads=1), min(batch_size, len(rows[0])),
        latency_warmup=0, latency_repeats=1,
    )  # fmt: skip
    try:
        return measure(asked, TIMEOUT_S).outputs[0]
    except MeasurementFailed as error:
        said = " ".join(str(error).split())  # ONNX Runtime's own words have lines
        raise IntakeError(
            f"expected the registered ONNX file to answer the workload's rows, {asked.batch_size} at a time, in ONNX "
            f"Runtime {ort.__version__}, got: {said}; export it again with a dynamic first axis, and with operators "
            "and an opset that this ONNX Runtime has"
        ) from error


def _check_finite(outputs: np.ndarray) -> None:
    bad = int((~np.isfinite(outputs)).reshape(len(outputs), -1).any(axis=1).sum())
    if bad:
        raise IntakeError(
            f"expected numbers, got NaN or infinity from the registered ONNX file in {bad} of {len(outputs)} rows; "
            "check that the rows are prepared as the model's team does, and that its weights are finite"
        )


def _check_same(together: np.ndarray, alone: np.ndarray) -> None:
    difference = np.inf
    if together.shape == alone.shape:
        difference = float(np.abs(together.astype(float) - alone).max() / max(1e-12, float(np.abs(alone).max())))
    if not difference <= SAME:  # NaN is none
        raise IntakeError(
            f"expected the registered ONNX file to answer a row the same alone as among others, got answers of shape "
            f"{alone.shape} and {together.shape} that differ by {difference:.3g} of the largest; export it again in "
            "evaluation mode and with a dynamic first axis"
        )

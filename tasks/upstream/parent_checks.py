"""Checks of a parent: it takes the workload's rows, and an ONNX file answers them in a process that may crash."""

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime as ort
from torch.export import ExportedProgram

from edge_runtime.errors import MeasurementFailed, MeasurementInterrupted
from edge_runtime.measurement import MeasureRequest, measure
from edge_runtime.settings import SessionSettings
from model_compression.errors import IntakeError
from model_compression.intake import check_dynamic_batch, graph_inputs, input_specs
from model_compression.training import Arrays
from tasks.errors import PreflightError, SystemFailure
from tasks.job import Job
from tasks.upstream.parents import OnnxParent

TOGETHER, ALONE = 64, 8
TIMEOUT_S = 300.0
SAME = 1e-3  # of the largest answer: float kernels differ in summation order
Row = tuple[str, tuple[int | None, ...]]
"""A row of one input: dtype and shape, with None for a size that may change."""


def checked_onnx(job: Job, parent: OnnxParent) -> OnnxParent:
    """Return the parent once the recipe has rungs for it, the rows fit it, and it answers each row by itself.

    Raises PreflightError for the first two and IntakeError for the third.
    """
    _check_rungs(job)
    inputs = graph_inputs(onnx.load(parent.file))
    check_rows(job, [(dtype, shape[1:]) for _, dtype, shape in inputs])
    rows = tuple(array[:TOGETHER] for array in job.splits["validation"].inputs)
    together = _answers(parent, [name for name, *_ in inputs], rows, TOGETHER)
    alone = _answers(parent, [name for name, *_ in inputs], tuple(array[:ALONE] for array in rows), 1)
    _check_same(together[: len(alone)], alone)
    return parent


def _answers(parent: OnnxParent, names: list[str], rows: Arrays, batch_size: int) -> np.ndarray:
    asked = MeasureRequest(
        parent.file, dict(zip(names, rows, strict=True)), SessionSettings(threads=1), min(batch_size, len(rows[0])),
        latency_warmup=0, latency_repeats=1,
    )  # fmt: skip
    try:
        return measure(asked, TIMEOUT_S).outputs[0]
    except MeasurementInterrupted as error:
        raise SystemFailure(f"The registered ONNX file gave no answers. {error}") from error
    except MeasurementFailed as error:
        said = " ".join(str(error).split()).removesuffix(".")  # ONNX Runtime's own words have lines
        raise IntakeError(
            f"expected the registered ONNX file to answer the workload's rows, {asked.batch_size} at a time, in ONNX "
            f"Runtime {ort.__version__}, got: {said}; export it again with a dynamic first axis, finite weights, and "
            "operators and an opset that this ONNX Runtime has"
        ) from error


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


def check_signature(job: Job, program: ExportedProgram) -> None:
    """Raise PreflightError unless every split's rows fit the program, IntakeError for a fixed batch size."""
    check_dynamic_batch(program)
    check_rows(job, [(str(dtype).removeprefix("torch."), tuple(shape[1:])) for _, dtype, shape in input_specs(program)])


def check_rows(job: Job, expected: Sequence[Row]) -> None:
    """Raise PreflightError unless the rows of every split and of the sample are as a model expects its inputs."""
    rows: dict[str, tuple[Arrays, str]] = {name: (split.inputs, "split") for name, split in job.splits.items()}
    given = rows if job.sample is None else {**rows, "deployment": (job.sample.inputs, "deployment_sample")}
    for name, (inputs, method) in given.items():
        got: Sequence[Row] = [(str(array.dtype), array.shape[1:]) for array in inputs]
        if len(expected) != len(got) or not all(map(_fits, expected, got)):
            raise PreflightError(
                f"workload `{job.recipe.workload}`: expected {name} rows for model `{job.model}` version "
                f"{job.version} as {_shapes(expected)}, got {_shapes(got)}; change what Workload.{method} returns, or "
                "register a model for these rows"
            )


def _fits(expected: Row, got: Row) -> bool:
    sizes = zip(expected[1], got[1], strict=False)
    return expected[0] == got[0] and len(expected[1]) == len(got[1]) and all(want in (None, has) for want, has in sizes)


def _shapes(inputs: Sequence[Row]) -> str:
    def sizes(shape: tuple[int | None, ...]) -> str:
        return ", ".join(["rows", *("any" if size is None else str(size) for size in shape)])

    return "; ".join(f"{dtype} ({sizes(shape)})" for dtype, shape in inputs)


def _check_rungs(job: Job) -> None:
    """Raise PreflightError where a device is left without a rung that trains nothing."""
    for device in job.recipe.devices:
        if all(rung.trains for rung in job.recipe.rungs(device)):
            trains = ", ".join(rung.title for rung in job.recipe.rungs(device))
            raise PreflightError(
                f"recipe `{job.recipe.name}`: key `ladder`: expected a rung that trains nothing for {device.name}, as "
                f"model `{job.model}` version {job.version} is an ONNX file, got {trains} alone; add `ptq` or another "
                "such rung, or register the torch model with mlflow.pytorch.log_model"
            )

"""Checks of a parent: it takes the workload's rows, and answers each by itself with numbers.

An ONNX file answers them in a process that may crash.
"""

from collections.abc import Callable, Sequence

import numpy as np
import onnx
import onnxruntime as ort
from torch.export import ExportedProgram

from edge_runtime.errors import MeasurementFailed, MeasurementInterrupted
from edge_runtime.measurement import MeasureRequest, measure
from edge_runtime.settings import SessionSettings
from model_compression.errors import IntakeError
from model_compression.intake import check_dynamic_batch, check_one_output, graph_inputs, input_specs
from model_compression.training import Arrays, predict
from tasks.errors import PreflightError, SystemFailure, one_line
from tasks.job import Job
from tasks.upstream.parents import OnnxParent, Parent, TorchParent, stored_outputs

TOGETHER, ALONE = 64, 8
TIMEOUT_S = 300.0
SAME = 1e-3  # of the span of the answers: float kernels differ in summation order
LEAST_SPAN = 1e-2  # of the largest answer, below which a span is no more than rounding
Answer = Callable[[Arrays, int], np.ndarray]
"""A way to answer rows, so many at a time."""
REMEDIES = {
    "ONNX file": "export it again in evaluation mode and with a dynamic first axis",
    "program": "register a model without layers that read the whole batch, such as a batch norm with "
    "track_running_stats=False or an attention whose first axis is not the batch",
}
Row = tuple[str, tuple[int | None, ...]]
"""A row of one input: dtype and shape, with None for a size that may change."""


def checked_onnx(job: Job, parent: OnnxParent) -> OnnxParent:
    """Return the parent once the recipe has rungs for it, the rows fit it, and it answers each row by itself.

    Raises PreflightError for the first two and IntakeError for the third, and for answers that are no numbers.
    """
    _check_rungs(job)
    inputs = graph_inputs(onnx.load(parent.file))
    check_rows(job, [(dtype, shape[1:]) for _, dtype, shape in inputs])
    names = [name for name, *_ in inputs]
    _check_each_alone(job, parent, lambda rows, size: _answers(parent, names, rows, size), "ONNX file")
    return parent


def checked_program(job: Job, parent: TorchParent) -> TorchParent:
    """Return the parent once it answers each row by itself, and all validation rows with numbers.

    Raises IntakeError.
    """
    model = parent.build()

    def answer(rows: Arrays, size: int) -> np.ndarray:
        try:
            return predict(model, rows, size)
        except (RuntimeError, ValueError) as error:  # a layer that takes no batch of one
            raise _dependent("program", f"with {size} rows at a time {one_line(error)}") from error

    _check_each_alone(job, parent, answer, "program")
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


def _check_each_alone(job: Job, parent: Parent, answer: Answer, form: str) -> None:
    """Raise IntakeError for answers that are no numbers, or that depend on the rows beside a row."""
    rows = _spread(job.splits["validation"].inputs, TOGETHER)
    together, alone = answer(rows, TOGETHER), answer(_spread(rows, ALONE), 1)
    stored_outputs(job, parent, job.splits["validation"].inputs, job.digests("validation"))  # all of them are numbers
    (beside,) = _spread((together,), ALONE)
    difference = _difference(beside, alone)
    if not difference <= SAME:  # NaN is none
        raise _dependent(
            form,
            f"answers of shape {alone.shape} and {beside.shape} that differ by {difference:.3g} of their span",
        )


def _spread(arrays: Arrays, most: int) -> Arrays:
    """Return at most so many rows, evenly spread: neighbours are often alike."""
    return tuple(array[np.linspace(0, len(array) - 1, min(most, len(array))).astype(int)] for array in arrays)


def _difference(beside: np.ndarray, alone: np.ndarray) -> float:
    """Return the largest difference as a share of the span of the answers."""
    if beside.shape != alone.shape:
        return float("inf")
    span = max(float(np.ptp(alone)), LEAST_SPAN * float(np.abs(alone).max()), 1e-12)
    return float(np.abs(beside.astype(float) - alone).max()) / span


def _dependent(form: str, got: str) -> IntakeError:
    return IntakeError(
        f"expected the registered {form} to answer a row the same alone as among others, got {got}; {REMEDIES[form]}"
    )


def check_signature(job: Job, program: ExportedProgram) -> None:
    """Raise PreflightError unless every split's rows fit the program.

    Raises IntakeError for a fixed batch size and for several outputs.
    """
    check_dynamic_batch(program)
    check_one_output(program)
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
    for device in job.devices:
        if all(rung.trains for rung in job.recipe.rungs(device)):
            trains = ", ".join(rung.title for rung in job.recipe.rungs(device))
            raise PreflightError(
                f"recipe `{job.recipe.name}`: key `ladder`: expected a rung that trains nothing for {device.name}, as "
                f"model `{job.model}` version {job.version} is an ONNX file, got {trains} alone; add `ptq` or another "
                "such rung, or register the torch model with mlflow.pytorch.log_model"
            )

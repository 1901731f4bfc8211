"""Whether a model takes the workload's rows: asked of the model itself, before anything is computed with them."""

from collections.abc import Sequence

from torch.export import ExportedProgram

from model_compression.intake import check_dynamic_batch, input_specs
from model_compression.training import Arrays
from tasks.errors import PreflightError
from tasks.job import Job

Row = tuple[str, tuple[int | None, ...]]
"""What a row of one input is: dtype and shape, with None for a size that may change."""


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

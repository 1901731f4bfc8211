"""Parents: an upstream model as a torch program, which can be trained, or as an ONNX file, which cannot."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np
import onnx
from torch import Tensor, nn
from torch.export import ExportedProgram

from deployments.answers import finite_rows
from deployments.errors import ConfigurationError
from deployments.mapped import write_outputs
from deployments.user_calls import call_user_code
from deployments.workload import Workload
from model_compression.errors import IntakeError
from model_compression.intake import input_specs, load_into, load_program, numbered, rebuild, untold_settings
from model_compression.onnx_files import graph_parameters
from model_compression.pruning import int8_weight_bytes, parameters
from model_compression.quantization import answers
from model_compression.training import Arrays, predict
from tasks.job import Job

CODE = (rebuild, load_into, load_program, predict, answers, write_outputs, __name__)


@dataclass(frozen=True)
class TorchParent:
    """An upstream model whose program is on disk, and modules rebuilt from it."""

    program: Path
    digest: str
    workload: Workload
    example: tuple[Tensor, ...]

    @cached_property
    def exported(self) -> ExportedProgram:
        """The program, read once; what is built from it has copies of its weights."""
        return load_program(self.program)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the model's inputs."""
        return tuple(str(name) for name, *_ in input_specs(self.exported))

    def build(self) -> nn.Module:
        """Return a fresh module with the parent's weights, in evaluation mode."""
        module = _own_architecture(self.workload)
        return (rebuild(self.exported) if module is None else load_into(self.exported, module)).eval()

    def untold(self) -> tuple[str, ...]:
        """Return sentences on what training needs and the program does not tell; none for an architecture in code."""
        return untold_settings(self.exported) if _own_architecture(self.workload) is None else ()

    def answers(self, rows: Arrays) -> np.ndarray:
        """Return the outputs for all rows."""
        return predict(self.build(), rows)

    def footprint(self) -> tuple[int, int]:
        """Return the number of parameters, and the bytes of their weights as INT8."""
        model = self.build()
        return parameters(model), int8_weight_bytes(model)


@dataclass(frozen=True)
class OnnxParent:
    """An upstream model that is only an ONNX file: it is measured and quantized as it is."""

    file: Path
    digest: str

    def answers(self, rows: Arrays) -> np.ndarray:
        """Return the outputs for all rows."""
        return answers(self.file, rows)

    def footprint(self) -> tuple[int, int]:
        """Return the number of parameters, and their bytes as INT8; scales count as part of the graph."""
        count = graph_parameters(onnx.load(self.file))
        return count, count


Parent: TypeAlias = TorchParent | OnnxParent


def stored_outputs(job: Job, parent: Parent, rows: Arrays, digests: Mapping[str, str]) -> Path:
    """Return the file of the parent's outputs on some rows; they are computed once.

    `digests` identify the rows, and the first of them has the rows' name. Raises IntakeError where an output is NaN or
    infinite.
    """

    def produce(folder: Path) -> dict[str, int]:
        outputs = write_outputs(folder / "outputs.npy", parent.answers, rows)
        _check_finite(outputs, f"the {next(iter(digests))} rows")
        return {"rows": len(rows[0])}

    inputs = {"parent": parent.digest, **digests}
    return job.workspace.store.run("parent-outputs", inputs, CODE, produce).folder / "outputs.npy"


def _check_finite(outputs: np.ndarray, where: str) -> None:
    """Raise IntakeError that counts and names the rows in which an output is NaN or infinite."""
    bad = np.flatnonzero(~finite_rows(outputs))
    if len(bad):
        raise IntakeError(
            f"expected numbers, got NaN or infinity from the registered model in {len(bad)} of {len(outputs)} of "
            f"{where} ({numbered(bad.tolist())}); check that the rows are prepared as the model's team does, and that "
            "its weights are finite"
        )


def _own_architecture(workload: Workload) -> nn.Module | None:
    module = call_user_code(
        workload.build_model,
        f"{type(workload).__name__}.build_model(): expected a torch module",
        "correct it in the workload",
    )
    if module is not None and not isinstance(module, nn.Module):
        raise ConfigurationError(
            f"{type(workload).__name__}.build_model(): expected a torch module or None, got {type(module).__name__}; "
            "return the architecture itself"
        )
    return module

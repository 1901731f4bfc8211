"""First look at a registered version, before there is a recipe: its inputs, its size, and its answers to rows."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnx

from model_compression.intake import (
    check_dynamic_batch,
    check_one_output,
    graph_inputs,
    input_specs,
    keep_output,
    load_program,
    read_graph,
    rebuild,
)
from model_compression.onnx_files import graph_parameters, save_onnx
from model_compression.pruning import parameters
from model_compression.quantization import answers
from model_compression.training import Arrays, predict
from tasks.errors import RegistryError
from tasks.registry import RegisteredModel, Upstream
from tasks.workspace import Workspace

GRAPH = "looked-at.onnx"
_ATTENTION = "scaled_dot_product_attention"


@dataclass(frozen=True)
class RegisteredInput:
    """One input of a registered model: its name, its dtype, and the sizes of a row with None for one that may vary."""

    name: str
    dtype: str
    sizes: tuple[int | None, ...]

    def __str__(self) -> str:
        """Write the input as people read it, such as `image: float32 (rows, 1, 28, 28)`."""
        sizes = ", ".join(["rows", *("any" if size is None else str(size) for size in self.sizes)])
        return f"{self.name}: {self.dtype} ({sizes})"


@dataclass(frozen=True, eq=False)
class FirstLook:
    """A version as it is registered: its inputs, the number of its parameters, and a function that answers rows.

    `trains` is False for an ONNX file, which is only quantized. `attends` says that it has attention heads. `output`
    names the one output that is answered, of a model that has several.
    """

    model: str
    version: str
    inputs: tuple[RegisteredInput, ...]
    parameters: int
    answers: Callable[[Arrays], np.ndarray]
    trains: bool
    attends: bool
    output: str | None = None


def first_look(
    model: str, version: str | None, workspace: Workspace, folder: Path, output: str | None = None
) -> FirstLook:
    """Read a version, the newest one for None, without running its author's code; `folder` takes a file of it.

    Raises RegistryError for a version that is not there or is a pickled module, IntakeError for one that cannot be
    read, and RegistryUnavailable where the registry gives no answer.
    """
    upstream = Upstream(workspace.tracking_uri)
    found = _newest(upstream, model) if version is None else version
    registered = upstream.fetch(model, found)
    if registered.program is not None:
        return _of_program(registered, registered.program, output)
    if registered.graph is not None:
        return _of_graph(registered, registered.graph, folder, output)
    raise RegistryError(
        f"model `{model}` version {found}: expected a program (pt2) or an ONNX file, got a pickled module or neither, "
        "which is not opened here; register it with mlflow.pytorch.log_model, its default form and an input_example of "
        "2 or more rows"
    )


def _newest(upstream: Upstream, model: str) -> str:
    versions = upstream.versions(model)
    if not versions:
        raise RegistryError(
            f"model `{model}`: expected a registered version, got none in the registry at {upstream.tracking_uri}; "
            "register one in MLflow"
        )
    return versions[-1]


def _of_program(registered: RegisteredModel, path: Path, output: str | None) -> FirstLook:
    program = load_program(path)
    check_dynamic_batch(program)
    if output is not None:
        keep_output(program, output)
    check_one_output(program)
    module = rebuild(program).eval()
    inputs = tuple(
        RegisteredInput(name, str(dtype).removeprefix("torch."), tuple(shape[1:]))
        for name, dtype, shape in input_specs(program)
    )
    attends = any(_ATTENTION in str(node.target) for node in program.graph.nodes)
    return FirstLook(
        registered.model,
        registered.version,
        inputs,
        parameters(module),
        partial(predict, module),
        True,
        attends,
        output,
    )


def _of_graph(registered: RegisteredModel, path: Path, folder: Path, output: str | None) -> FirstLook:
    file = folder / GRAPH
    save_onnx(read_graph(path, output), file)
    graph = onnx.load(file)
    inputs = tuple(RegisteredInput(name, dtype, tuple(shape[1:])) for name, dtype, shape in graph_inputs(graph))
    count = graph_parameters(graph)
    return FirstLook(registered.model, registered.version, inputs, count, partial(answers, file), False, False, output)

"""Export of torch models to the ONNX files that ship."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, fx, nn

from model_compression.errors import ExportError, cause_of
from model_compression.onnx_files.slimming import share_constants
from model_compression.quiet import quiet

OPSET = 20
OUTPUT = ("output",)
SPARE, FEW_NUMBERS = 0.01, 4096  # room for shapes, masks and positions that the exporter adds


def export_onnx(
    model: nn.Module, example: tuple[Tensor, ...], names: Sequence[str], path: Path, outputs: Sequence[str] = OUTPUT
) -> Path:
    """Export a model in evaluation mode to one ONNX file with a dynamic batch; returns the path.

    `example` has at least 2 rows. `names` and `outputs` are those of the inputs and outputs. Metadata that only a
    debugger reads is stripped, because it weighs as much as a small model. Raises ExportError for an operator that ONNX
    or its exporter does not have.
    """
    return save_onnx(to_onnx(model, example, names, outputs), path)


def to_onnx(
    model: nn.Module, example: tuple[Tensor, ...], names: Sequence[str], outputs: Sequence[str] = OUTPUT
) -> onnx.ModelProto:
    """Export as export_onnx() does, in memory."""
    # the exporter writes a weight again for each call of a layer that is called several times
    return share_constants(strip(to_traced_onnx(model, example, names, outputs)))


def to_traced_onnx(
    model: nn.Module, example: tuple[Tensor, ...], names: Sequence[str], outputs: Sequence[str] = OUTPUT
) -> onnx.ModelProto:
    """Export with the exporter's metadata, which names the module that each node came from."""
    batch = torch.export.Dim("batch", min=1)
    try:
        with quiet("torch.onnx", "onnxscript", "onnx_ir"):
            program = torch.onnx.export(
                model,
                example,
                dynamo=True,
                verbose=False,
                opset_version=OPSET,
                input_names=list(names),
                output_names=list(outputs),
                dynamic_shapes=tuple({0: batch} for _ in example),
            )
    except Exception as error:  # the exporter raises errors of many kinds
        raise ExportError(
            f"expected the model to export to ONNX opset {OPSET}, got {cause_of(error)}; replace the operator it "
            "names, or give the workload a build_model() without it"
        ) from error
    if program is None:
        raise ExportError("expected an ONNX program from the exporter, got none; report this with the model's graph")
    return program.model_proto


def check_shrunk(model: nn.Module, path: Path) -> None:
    """Raise ExportError where a file holds more numbers than the model.

    A pruned model must not ship with the weights that were removed. Tables that the exporter computes from weights
    belong to the model, such as biases of relative positions.
    """
    own = sum(tensor.numel() for tensor in [*model.parameters(), *model.buffers()]) + _computed_numbers(model)
    held = sum(math.prod(tensor.dims) for tensor in onnx.load(path).graph.initializer)
    if held > own * (1 + SPARE) + FEW_NUMBERS:
        raise ExportError(
            f"expected {path.name} to hold the {own:,} numbers of the model, got {held:,}; report this with the "
            "model's graph: what was removed is still in the file"
        )


@torch.no_grad()
def _computed_numbers(model: nn.Module) -> int:
    """Count the numbers of the tensors that a graph computes from weights alone, each of which an exporter may fold."""
    if not isinstance(model, fx.GraphModule):
        return 0
    runner, values = fx.Interpreter(model), dict[fx.Node, Any]()
    for node in model.graph.nodes:
        if node.op == "get_attr" or (node.all_input_nodes and all(each in values for each in node.all_input_nodes)):
            args, kwargs = fx.map_arg((node.args, node.kwargs), values.__getitem__)
            values[node] = getattr(runner, node.op)(node.target, args, kwargs)
    computed = [value for node, value in values.items() if node.op != "get_attr" and isinstance(value, Tensor)]
    return sum(value.numel() for value in computed)


def save_onnx(model: onnx.ModelProto, path: Path) -> Path:
    """Write a model as one file; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save_model(model, path)
    return path


def strip(model: onnx.ModelProto) -> onnx.ModelProto:
    """Remove metadata that no runtime reads, in place; returns the model."""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.graph.value_info[:]
    model.doc_string = ""
    model.graph.doc_string = ""
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in [*model.graph.input, *model.graph.output, *model.graph.initializer]:
        del value.metadata_props[:]
        value.doc_string = ""
    return model

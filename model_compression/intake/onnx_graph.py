"""Registered ONNX files, read into the one form that quantization expects."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import onnx
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, inliner, version_converter

from model_compression.errors import IntakeError, cause_of
from model_compression.intake.program import no_such_output, several_outputs
from model_compression.onnx_files import graph_parameters, graphs_in, strip

QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "QLinear", "Integer", "DynamicQuantize", "NBits", "BlockQuantized")
OTHER_FLOATS = (TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16)
PER_CHANNEL_OPSET = 13
FIRST_IR_WITH_OWN_INITIALIZERS = 4  # older versions list every initializer as an input too


class GraphInput(NamedTuple):
    """One input: its name, its dtype in numpy's words, and its shape with None for a size that may change."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]


def read_graph(path: Path, output: str | None = None) -> ModelProto:
    """Read a file with the weights beside it, check it, and bring it into one form.

    In this form initializers are not inputs, constants are initializers, functions are inlined, the opset is at least
    13, every node has a name, and a batch size of 1 is any batch size. Code that looks for weights relies on all of
    these. Of several outputs, `output` names the one that stays. Raises IntakeError for a damaged or incomplete file,
    and for a graph that is not of float32, is quantized already, has another fixed batch size, or has several outputs
    of which none is named.
    """
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
        model = inliner.inline_local_functions(model) if model.functions else model
    except Exception as error:  # errors of protobuf and of the checker have no common base
        raise IntakeError(
            f"{path.name}: expected a valid ONNX model with all of its weights, got {cause_of(error)}; register it "
            "again with mlflow.onnx.log_model"
        ) from error
    model = _of_today(model)
    strip(model)  # also drops the shapes that an exporter noted, which may be wrong after its own rewriting
    _bring_into_form(model)
    _keep_output(model, output)
    _check_numbers(model)
    _open_batch(model)
    return model


def graph_inputs(model: ModelProto) -> list[GraphInput]:
    """List the inputs that a caller fills, in the graph's order. Raises IntakeError for one that is no tensor."""
    return [_input(value) for value in model.graph.input]


def _input(value: ValueInfoProto) -> GraphInput:
    if not value.type.HasField("tensor_type"):
        raise IntakeError(
            f"expected tensors as the model's inputs, got `{value.name}` of another type; export it with tensors only"
        )
    tensor = value.type.tensor_type
    sizes = tuple(size.dim_value if size.dim_value > 0 else None for size in tensor.shape.dim)
    return GraphInput(value.name, str(helper.tensor_dtype_to_np_dtype(tensor.elem_type)), sizes)


def _of_today(model: ModelProto) -> ModelProto:
    """Raise an old opset to the first one with scales per channel, which INT8 files need to load."""
    opset = next((opset.version for opset in model.opset_import if opset.domain in ("", "ai.onnx")), PER_CHANNEL_OPSET)
    if opset >= PER_CHANNEL_OPSET:
        return model
    try:
        return version_converter.convert_version(model, PER_CHANNEL_OPSET)
    except Exception as error:  # the converter's errors have no common base
        raise IntakeError(
            f"expected a model of opset {PER_CHANNEL_OPSET} or newer, got opset {opset}, which does not convert: "
            f"{cause_of(error)}; export it again with a newer opset"
        ) from error


def _bring_into_form(model: ModelProto) -> None:
    graph = model.graph
    constants = [node for node in graph.node if _is_constant(node)]
    nodes = [node for node in graph.node if not _is_constant(node)]
    for node in constants:
        graph.initializer.add().CopyFrom(node.attribute[0].t)
        graph.initializer[-1].name = node.output[0]
    weights = {weight.name for weight in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    del graph.node[:], graph.input[:]
    graph.node.extend(nodes)
    graph.input.extend(inputs)
    model.ir_version = max(model.ir_version, FIRST_IR_WITH_OWN_INITIALIZERS)
    taken = {node.name for node in graph.node}
    free = (name for name in (f"node_{index}" for index in range(2 * len(graph.node))) if name not in taken)
    for node in graph.node:
        node.name = node.name or next(free)


def _is_constant(node: NodeProto) -> bool:
    return node.op_type == "Constant" and not node.domain and node.attribute[0].type == AttributeProto.TENSOR


def _keep_output(model: ModelProto, output: str | None) -> None:
    """Leave out the other outputs, with the operators and weights that only they need."""
    graph = model.graph
    names = [value.name for value in graph.output]
    if output is None and len(names) != 1:
        raise IntakeError(several_outputs(names))
    if output is None:
        return
    if output not in names:
        raise IntakeError(no_such_output(output, names))
    for value in [value for value in graph.output if value.name != output]:
        graph.output.remove(value)
    wanted = {output}
    for node in reversed(list(graph.node)):
        if wanted & set(node.output):
            wanted.update(node.input, *_read_inside(node))
        else:
            graph.node.remove(node)
    for weight in [weight for weight in graph.initializer if weight.name not in wanted]:
        graph.initializer.remove(weight)


def _read_inside(node: NodeProto) -> Iterator[set[str]]:
    """Yield the names that the graphs of a branch or a loop read."""
    for graph in graphs_in(node):
        for inner in graph.node:
            yield set(inner.input)
            yield from _read_inside(inner)
        yield {value.name for value in graph.output}


def _check_numbers(model: ModelProto) -> None:
    """Raise IntakeError for a graph of other numbers than float32, or one that is quantized already.

    Such a graph runs, but calibration would see no range of it, and its weights would stay as they are.
    """
    found = next(_of_another_type(model), None)
    if found is not None:
        raise IntakeError(
            f"expected a float32 model, got {found}; register the float32 model that it was made from: a recipe's "
            "`fp16` and INT8 rungs make the rest"
        )


def _of_another_type(model: ModelProto) -> Iterator[str]:
    for value in [*model.graph.input, *model.graph.output]:
        kind = value.type.tensor_type.elem_type
        if kind in OTHER_FLOATS:
            yield f"{_named(kind)} in `{value.name}`"
    for kind in OTHER_FLOATS:
        if graph_parameters(model, kind) > graph_parameters(model):
            yield f"weights of {_named(kind)}"
    for node in model.graph.node:
        if any(part in node.op_type for part in QUANTIZED):
            yield f"one that is quantized already ({node.op_type})"


def _named(kind: int) -> str:
    return str(TensorProto.DataType.Name(kind)).lower()


def _open_batch(model: ModelProto) -> None:
    """Turn a batch size of 1 into any batch size, in place.

    A graph without sizes of its own takes any. The caller must check this by running it.
    """
    for name, _, shape in graph_inputs(model):
        if not shape or shape[0] not in (1, None):
            got = f"a fixed batch size of {shape[0]}" if shape else "no batch dimension"
            raise IntakeError(
                f"expected an ONNX model whose batch size may change, got {got} in input `{name}` of shape "
                f"{list(shape)}; export it again with a dynamic first axis"
            )
    if any(shape[0] == 1 for _, _, shape in graph_inputs(model)):
        del model.graph.value_info[:]
        for value in [*model.graph.input, *model.graph.output]:
            sizes = value.type.tensor_type.shape.dim
            if sizes:
                sizes[0].dim_param = "rows"

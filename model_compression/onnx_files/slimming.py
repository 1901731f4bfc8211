"""Bytes of a graph that are not weights, removed before the file ships.

In a small INT8 file, names and repeated constants weigh as much as the weights.
"""

import itertools
import string
from typing import Any

import onnx
from onnx import AttributeProto, NodeProto, TensorProto, helper, numpy_helper

from model_compression.onnx_files.inspection import graphs_in, names_read

DIGITS = string.digits + string.ascii_letters


def compact(model: onnx.ModelProto) -> onnx.ModelProto:
    """Shorten a graph that ships without changing its results, in place; returns the model.

    Equal constants become one. Attributes that repeat their operator's default are removed, and so are zero points of
    int32 constants, which are zero by definition. Tensors get short names, nodes none. The model's inputs and outputs
    keep their names. A graph with subgraphs stays as it is, because subgraphs read its tensors by name.
    """
    nodes, graph = model.graph.node, model.graph
    if _has_subgraphs(model):
        return model
    versions = {opset.domain: opset.version for opset in model.opset_import}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in nodes:
        node.name = ""
        _drop_defaults(node, versions.get(node.domain, 0))
        _drop_zero_point(node, constants)
    _merge_constants(graph)
    _rename(graph)
    return model


def _drop_defaults(node: NodeProto, version: int) -> None:
    if not onnx.defs.has(node.op_type, version, node.domain):
        return
    defaults = onnx.defs.get_schema(node.op_type, version, node.domain).attributes
    _replace(node.attribute, [attribute for attribute in node.attribute if not _is_default(attribute, defaults)])


def _is_default(attribute: AttributeProto, defaults: dict[str, onnx.defs.OpSchema.Attribute]) -> bool:
    default = defaults[attribute.name].default_value if attribute.name in defaults else None
    if default is None or default.type != attribute.type:
        return False
    return bool(helper.get_attribute_value(attribute) == helper.get_attribute_value(default))


def _drop_zero_point(node: NodeProto, constants: dict[str, TensorProto]) -> None:
    if node.op_type == "DequantizeLinear" and len(node.input) == 3:
        zero_point = constants.get(node.input[2])
        if zero_point is not None and zero_point.data_type == TensorProto.INT32:
            del node.input[2]


def share_constants(model: onnx.ModelProto) -> onnx.ModelProto:
    """Keep one of several equal constants, in place; returns the model. One with subgraphs stays as it is."""
    if not _has_subgraphs(model):
        _merge_constants(model.graph)
    return model


def _has_subgraphs(model: onnx.ModelProto) -> bool:
    return any(True for node in model.graph.node for _ in graphs_in(node))


def _merge_constants(graph: onnx.GraphProto) -> None:
    """Keep one of several equal constants, and drop constants that nothing reads."""
    read = names_read(graph.node) | {value.name for value in graph.output}
    kept: dict[tuple[object, ...], TensorProto] = {}
    same: dict[str, str] = {}
    for tensor in graph.initializer:
        if tensor.name in read:
            content = (tensor.data_type, tuple(tensor.dims), numpy_helper.to_array(tensor).tobytes())
            same[tensor.name] = kept.setdefault(content, tensor).name
    _replace(graph.initializer, list(kept.values()))
    for node in graph.node:
        node.input[:] = [same.get(name, name) for name in node.input]


def _rename(graph: onnx.GraphProto) -> None:
    """Give short names, in order of first appearance, to tensors that no one outside the graph reads."""
    names = {name: name for name in ["", *(value.name for value in [*graph.input, *graph.output])]}
    numbers = (name for name in map(_short, itertools.count()) if name not in names)
    for tensor in graph.initializer:
        if tensor.name not in names:
            names[tensor.name] = next(numbers)
        tensor.name = names[tensor.name]
    for node in graph.node:
        for side in (node.input, node.output):
            for name in side:
                if name not in names:
                    names[name] = next(numbers)
            side[:] = [names[name] for name in side]


def _short(number: int) -> str:
    digits = DIGITS[number % len(DIGITS)]
    return digits if number < len(DIGITS) else _short(number // len(DIGITS) - 1) + digits


def _replace(repeated: Any, values: list[Any]) -> None:
    del repeated[:]
    repeated.extend(values)

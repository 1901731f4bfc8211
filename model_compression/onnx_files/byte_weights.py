"""Weights of layers without an integer kernel, stored in 8 bits and restored while a file loads."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

RECURRENT: Mapping[str, str] = {"lstm": "LSTM", "gru": "GRU", "rnn_tanh": "RNN", "rnn_relu": "RNN"}
"""Recurrent operators of torch, each with the operator of ONNX that it becomes."""
KINDS = tuple(dict.fromkeys(RECURRENT.values()))
TRANSPOSED = "ConvTranspose"
INTEGERS = "DynamicQuantizeLSTM"
RECURRENT_WEIGHTS = (1, 2)  # of the inputs: from the layer below, and from the step before
LARGEST = 127  # and not -128: one scale serves both signs
ADDED_BYTES = 200  # about what two nodes and the names of their tensors weigh


def pack_weights(model: ModelProto) -> int:
    """Store in int8 the constant weights of layers that ONNX Runtime computes in float anyway; returns how many.

    These are recurrent layers, with a scale for each row, and transposed convolutions, with one for each output
    channel, or for each input channel where they are grouped. Weights that are in int8 already keep their scales. The
    graph is changed in place: a Cast and a Mul restore the weights. ONNX Runtime folds both while it loads the file, so
    the layers take no longer than in float; it would compute a DequantizeLinear at each call. Weights that would not
    get smaller stay.
    """
    graph, constants = model.graph, {tensor.name: tensor for tensor in model.graph.initializer}
    makers = {node.output[0]: node for node in graph.node if node.op_type == "DequantizeLinear"}
    packed: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name, axes in _weights(graph):
        if name in constants and constants[name].data_type == TensorProto.FLOAT:
            whole, scales = _rounded(numpy_helper.to_array(constants[name]), axes)
            if whole.size + scales.nbytes + ADDED_BYTES < 4 * whole.size:
                packed[name] = whole, scales
        elif name in makers and set(makers[name].input) <= constants.keys():
            packed[name] = _quantized(makers[name], constants)
    _restore(model, packed)
    return len(packed)


def _weights(graph: onnx.GraphProto) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the name of each weight of such a layer, and the axes over which its numbers share a scale."""
    for node in graph.node:
        if node.op_type in KINDS:
            yield from ((node.input[place], (2,)) for place in RECURRENT_WEIGHTS)
        elif node.op_type == TRANSPOSED:
            given = {attribute.name: attribute for attribute in node.attribute}
            grouped = "group" in given and given["group"].i > 1
            yield node.input[1], (1 if grouped else 0, -1)


def _rounded(values: np.ndarray, axes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest int8 values and their scales; an axis of -1 stands for all from the third on."""
    shared = tuple(axis for axis in axes if axis >= 0) + (tuple(range(2, values.ndim)) if -1 in axes else ())
    largest = np.abs(values).max(axis=shared, keepdims=True)
    scales = np.where(largest > 0, largest / LARGEST, 1).astype(np.float32)
    return np.rint(values / scales).astype(np.int8), scales


def _quantized(maker: NodeProto, constants: Mapping[str, TensorProto]) -> tuple[np.ndarray, np.ndarray]:
    """Return the int8 values and scales of a weight that training has quantized symmetrically."""
    whole, scales = (numpy_helper.to_array(constants[name]) for name in maker.input[:2])
    axis = next((attribute.i for attribute in maker.attribute if attribute.name == "axis"), 1)
    shape = [1] * whole.ndim
    if scales.size > 1:
        shape[axis] = scales.size
    return whole, scales.reshape(shape)


def _restore(model: ModelProto, packed: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """Put int8 constants, and the nodes that restore them, in the place of weights."""
    graph = model.graph
    restoring: list[NodeProto] = []
    for name, (whole, scales) in packed.items():
        whole_name, scales_name, cast = f"{name}_bytes", f"{name}_byte_scales", f"{name}_cast"
        graph.initializer.extend(
            [numpy_helper.from_array(whole, whole_name), numpy_helper.from_array(scales, scales_name)]
        )
        restoring += [
            helper.make_node("Cast", [whole_name], [cast], cast, to=TensorProto.FLOAT),
            helper.make_node("Mul", [cast, scales_name], [name], f"{name}_restored"),
        ]
    nodes = [*restoring, *(node for node in graph.node if node.output[0] not in packed)]
    kept = [tensor for tensor in graph.initializer if tensor.name not in packed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(kept)


def recurrent_note(path: Path) -> str:
    """Return a sentence on how the recurrent layers of a quantized file compute; empty where it has none."""
    model = onnx.load(path, load_external_data=False)
    kinds = Counter(node.op_type for node in model.graph.node)
    kept = {kind: kinds[kind] for kind in KINDS if kinds[kind]}
    parts = [f"{kinds[INTEGERS]} LSTM in integers, by the range of each call"] if kinds[INTEGERS] else []
    if kept:
        parts.append(f"{_listed(kept)} in float, for which {_form_of_weights(model)}")
    why = "; ONNX Runtime has no integer kernel for it" if {"GRU", "RNN"} & kept.keys() else ""
    return f"Recurrent layers: {' and '.join(parts)}{why}." if parts else ""


def _form_of_weights(model: ModelProto) -> str:
    restored = {node.output[0] for node in model.graph.node if node.op_type == "Mul"}
    read = {node.input[place] for node in model.graph.node if node.op_type in KINDS for place in RECURRENT_WEIGHTS}
    return "8-bit weights are restored at loading" if read & restored else "the weights stay in float"


def _listed(kinds: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in kinds.items())

"""Float biases of a QDQ graph made integers, as the kernels add them."""

from typing import NamedTuple

import numpy as np
import onnx
from onnx import NodeProto, helper, numpy_helper

LARGEST = 2.0**30  # half of int32, for the kernel adds up its products on top


def quantize_biases(model: onnx.ModelProto) -> onnx.ModelProto:
    """Turn the bias of every quantized convolution and linear into int32, in place; returns the model.

    Its scale is that of the integer products it is added to, input scale x weight scale, per output channel. Without
    this a linear whose output stays float runs in float: ONNX Runtime quantizes a float bias itself only where the
    output is quantized too. Where the weights of a channel are so small that its bias would not fit, their scale is
    raised until it does.
    """
    graph = _Graph(model)
    for node in model.graph.node:
        if node.op_type in ("Conv", "Gemm") and len(node.input) == 3:
            _quantize_bias(graph, node)
    graph.close()
    return model


class _Dequantized(NamedTuple):
    """A tensor that a DequantizeLinear makes: the node, what it reads and by which scale."""

    node: NodeProto
    values: np.ndarray | None
    scale: np.ndarray


class _Graph:
    """The constants of a graph by name, and which node makes what."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.graph = model.graph
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in self.graph.initializer}
        self.makers = {name: node for node in self.graph.node for name in node.output}
        self.added: list[NodeProto] = []

    def dequantized(self, name: str) -> _Dequantized | None:
        node = self.makers.get(name)
        if node is None or node.op_type != "DequantizeLinear" or node.input[1] not in self.constants:
            return None
        return _Dequantized(node, self.constants.get(node.input[0]), self.constants[node.input[1]])

    def add_dequantized(self, name: str, values: np.ndarray, scale: np.ndarray, zero_point: str = "") -> str:
        """Add constants and the node that dequantizes them by their first axis; returns the name of its output."""
        quantized, scales, output = f"{name}_quantized", f"{name}_scale", f"{name}_dequantized"
        for constant, array in ((quantized, values), (scales, scale)):
            self.graph.initializer.append(numpy_helper.from_array(array, constant))
        inputs = [quantized, scales, zero_point] if zero_point else [quantized, scales]
        self.added.append(helper.make_node("DequantizeLinear", inputs, [output], axis=0))
        return output

    def close(self) -> None:
        """Put the added nodes first, and drop what nothing reads any more."""
        read = {name for node in self.graph.node for name in node.input} | {out.name for out in self.graph.output}
        nodes = [node for node in [*self.added, *self.graph.node] if read & set(node.output)]
        read = {name for node in nodes for name in node.input}
        kept = [tensor for tensor in self.graph.initializer if tensor.name in read]
        del self.graph.node[:], self.graph.initializer[:]
        self.graph.node.extend(nodes)
        self.graph.initializer.extend(kept)


def _quantize_bias(graph: _Graph, node: NodeProto) -> None:
    activation, weight = graph.dequantized(node.input[0]), graph.dequantized(node.input[1])
    bias = graph.constants.get(node.input[2])
    if activation is None or weight is None or weight.values is None or bias is None or not _per_output(node, weight):
        return
    name = f"{node.input[2]}_of_{node.output[0]}"
    needed = np.abs(bias) / (activation.scale * LARGEST)
    if (needed > weight.scale).any():
        raised = np.maximum(weight.scale, needed).astype(np.float32)
        shrink = (weight.scale / raised).reshape(-1, *[1] * (weight.values.ndim - 1))
        values = np.rint(weight.values * shrink).astype(weight.values.dtype)
        node.input[1] = graph.add_dequantized(f"{name}_weight", values, raised, *weight.node.input[2:])
        weight = weight._replace(scale=raised)
    scale = (activation.scale * weight.scale).astype(np.float32)
    values = np.clip(np.rint(bias.astype(np.float64) / scale), -LARGEST, LARGEST).astype(np.int32)
    node.input[2] = graph.add_dequantized(name, values, np.broadcast_to(scale, values.shape).copy())


def _per_output(node: NodeProto, weight: _Dequantized) -> bool:
    """Whether the weight has one scale, or one for each output channel on its first axis."""
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    if node.op_type == "Gemm" and (attributes.get("alpha", 1), attributes.get("beta", 1)) != (1, 1):
        return False
    axis = next((attribute.i for attribute in weight.node.attribute if attribute.name == "axis"), 1)
    return weight.scale.size == 1 or (axis == 0 and (node.op_type == "Conv" or attributes.get("transB", 0) == 1))

"""Constants that mean "not this one": -1e9 before a softmax, -inf as the padding of a maximum.

The range of a tensor that holds such a constant leaves no step of 8 bits for its other values, so the operations that
write or read it stay in float. Layers with weights do not: their ranges are those of data.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, numpy_helper

from model_compression.onnx_files import RECURRENT

Bounds = tuple[float, float]
LARGE = 32.0  # a constant of this size, still there in a result, takes the steps of all other values
SPAN = 16.0  # what lies further below the largest input of a softmax has a weight below 1e-7


SOFTMAXES = ("Softmax", "LogSoftmax")
PARAMETRIC = (
    "Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization", "InstanceNormalization", "LayerNormalization",
    "GroupNormalization", "PRelu", "Gather", *RECURRENT.values(),
)  # fmt: skip
"""Operators of ONNX whose constants are weights or tables."""


class Operation(NamedTuple):
    """One operation of a graph, with the names of the tensors that change with the rows.

    `constant` is the largest magnitude of its constant operands; `weighs` says that these are weights. `compared` are
    the inputs whose differences a softmax turns into weights.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    constant: float = 0.0
    weighs: bool = False
    compared: tuple[str, ...] = ()


def operations_in_float(operations: Sequence[Operation], ranges: Mapping[str, Bounds]) -> set[str]:
    """Return the names of the operations that write or read a tensor with masked values.

    `operations` are in the graph's order. `ranges` are those of float tensors, infinite or NaN where a value was. A
    layer with weights is among them only where a value is not finite, because no range has that.
    """
    broken = {name for name, bounds in ranges.items() if not all(map(math.isfinite, bounds))}
    masked = broken | _from_constants(operations, ranges) | _before_softmax(operations, ranges)
    return {
        each.name for each in operations if (broken if each.weighs else masked).intersection(each.inputs + each.outputs)
    }


def operations_of(model: ModelProto) -> list[Operation]:
    """List the operations of an ONNX graph whose constants are initializers."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    return [_operation(node, constants) for node in model.graph.node]


def _operation(node: NodeProto, constants: Mapping[str, TensorProto]) -> Operation:
    weighs = node.op_type in PARAMETRIC
    return Operation(
        node.name,
        tuple(name for name in node.input if name and name not in constants),
        tuple(node.output),
        0.0 if weighs else max(map(_magnitude, _constants(node, constants)), default=0.0),
        weighs,
        tuple(node.input) if node.op_type in SOFTMAXES else (),
    )


def _constants(node: NodeProto, constants: Mapping[str, TensorProto]) -> list[TensorProto]:
    """Return the constants that a node takes as inputs, or as the value that it fills a tensor with."""
    filled = [attribute.t for attribute in node.attribute if attribute.type == AttributeProto.TENSOR]
    return [*(constants[name] for name in node.input if name in constants), *filled]


def _magnitude(tensor: TensorProto) -> float:
    values = numpy_helper.to_array(tensor) if tensor.data_type == TensorProto.FLOAT else np.zeros(0)
    return float(np.abs(values).max()) if values.size else 0.0


def _from_constants(operations: Iterable[Operation], ranges: Mapping[str, Bounds]) -> set[str]:
    """Return the tensors whose range a large constant makes, followed as far as it is seen there."""
    found: set[str] = set()
    for each in operations:
        if not each.weighs and (each.constant >= LARGE or found.intersection(each.inputs)):
            found.update(name for name in each.outputs if _largest(ranges, name) >= LARGE)
    return found


def _before_softmax(operations: Sequence[Operation], ranges: Mapping[str, Bounds]) -> set[str]:
    """Return the tensors on the way into a softmax whose values are further apart than it can tell."""
    makers = {name: each for each in operations for name in each.outputs}
    pending = [name for each in operations for name in each.compared]
    found: set[str] = set()
    while pending:
        name = pending.pop()
        if name in found or not _span(ranges, name) > SPAN:
            continue
        found.add(name)
        maker = makers.get(name)
        if maker is not None and not maker.weighs:
            pending.extend(maker.inputs)
    return found


def _largest(ranges: Mapping[str, Bounds], name: str) -> float:
    return max(map(abs, ranges.get(name, (0.0, 0.0))))


def _span(ranges: Mapping[str, Bounds], name: str) -> float:
    low, high = ranges.get(name, (0.0, 0.0))
    return high - low

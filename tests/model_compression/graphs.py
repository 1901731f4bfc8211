"""ONNX graphs as people export them, good and bad, with known weights."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

FEATURES, CLASSES = 6, 3
WEIGHTS = np.random.default_rng(0).normal(size=(FEATURES, CLASSES)).astype(np.float32)
PRODUCT = helper.make_node("MatMul", ["x", "w"], ["y"])
_RNG = np.random.default_rng(0)
INT8_WEIGHT = _RNG.integers(-64, 65, size=(3, 4)).astype(np.int8)
SCALE = np.array([0.02, 0.005, 0.01], np.float32)
BIAS = np.array([0.31, -0.71, 0.11], np.float32)
ROWS = _RNG.uniform(0, 2, size=(50, 4)).astype(np.float32)


def graph(
    nodes: Sequence[NodeProto] = (PRODUCT,), *, batch: int | str = "rows", kind: int = TensorProto.FLOAT,
    weights: np.ndarray = WEIGHTS, outputs: Sequence[str] = ("y",), domain: str | None = None, **changes: Any,
) -> ModelProto:  # fmt: skip
    """A graph from `x` (batch, 6) and the initializer `w` to outputs of one row each; `changes` are make_model's."""
    body = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", kind, [batch, FEATURES])],
        [helper.make_tensor_value_info(name, kind, [batch, None]) for name in outputs],
        [numpy_helper.from_array(weights, "w")],
    )
    opsets = [helper.make_opsetid("", changes.pop("opset", 20))]
    opsets += [] if domain is None else [helper.make_opsetid(domain, 1)]
    return helper.make_model(body, opset_imports=opsets, ir_version=changes.pop("ir_version", 10), **changes)


def reshaped_to_one() -> ModelProto:
    """A graph for a batch of one whose nodes have that size written into them."""
    nodes = [
        helper.make_node("Constant", [], ["shape"], value=numpy_helper.from_array(np.array([1, FEATURES]), "shape")),
        helper.make_node("Reshape", ["x", "shape"], ["row"]),
        helper.make_node("MatMul", ["row", "w"], ["y"]),
    ]
    return graph(nodes, batch=1)


def across_rows() -> ModelProto:
    """A graph whose answer to a row depends on the rows beside it."""
    mean = helper.make_node("ReduceMean", ["y_", "axes"], ["mean"], keepdims=1)
    axes = helper.make_node("Constant", [], ["axes"], value=numpy_helper.from_array(np.array([0]), "axes"))
    product = helper.make_node("MatMul", ["x", "w"], ["y_"])
    return graph([axes, product, mean, helper.make_node("Sub", ["y_", "mean"], ["y"])])


def against_rows() -> ModelProto:
    """A graph whose answer has a column for each row of the batch."""
    turned = helper.make_node("Transpose", ["x"], ["turned"], perm=[1, 0])
    return graph([turned, helper.make_node("MatMul", ["x", "turned"], ["y"])])


def quantized_linear(
    bias: np.ndarray = BIAS,
    scale: np.ndarray = SCALE,
    *,
    axis: int = 0,
    weight: np.ndarray = INT8_WEIGHT,
    quantized_input: bool = True,
    **attributes: Any,
) -> ModelProto:
    """Build x -> uint8 and back -> Gemm with int8 weights and a float bias -> y."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "xs", "xz"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "xs", "xz"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wd"], axis=axis),
        helper.make_node("Gemm", ["xd" if quantized_input else "x", "wd", "b"], ["y"], **({"transB": 1} | attributes)),
    ]
    constants = {
        "xs": np.float32(2 / 255),
        "xz": np.uint8(0),
        "w": weight,
        "ws": scale,
        "wz": np.zeros(len(scale), np.int8),
        "b": bias,
    }
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", size]) for name, size in (("x", 4), ("y", 3))
    ]
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    body = helper.make_graph(nodes, "g", values[:1], values[1:], tensors)
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)

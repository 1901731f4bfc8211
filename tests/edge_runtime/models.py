"""Small ONNX graphs for the tests of the runtime, made with known weights so that answers can be checked."""

import hashlib
from pathlib import Path

import numpy as np
import onnxruntime
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, load, numpy_helper, save

from edge_runtime.bundle import RuntimeRange

Shape = list[int | str]
RUNNING = RuntimeRange.measured_with(onnxruntime.__version__)


def weights(inputs: int, outputs: int) -> np.ndarray:
    """Return the weights of linear_model, float32, (inputs, outputs)."""
    return np.random.default_rng(0).standard_normal((inputs, outputs), dtype=np.float32)


def linear_model(path: Path, inputs: int = 8, outputs: int = 3, batch: int | str = "rows") -> Path:
    """Write a model of y = x @ weights(inputs, outputs), float32."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, inputs])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, outputs])],
        [numpy_helper.from_array(weights(inputs, outputs), "w")],
    )
    save(_model(graph), path)
    return path


def chained_model(path: Path, width: int, products: int) -> Path:
    """Write a model of so many products with the same weights, one after the other; x and y are (rows, width)."""
    names = ["x", *(f"h{index}" for index in range(1, products)), "y"]
    nodes = [helper.make_node("MatMul", [names[index], "w"], [names[index + 1]]) for index in range(products)]
    graph = helper.make_graph(
        nodes,
        "chained",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", width])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", width])],
        [numpy_helper.from_array(weights(width, width) / np.float32(width**0.5), "w")],
    )
    save(_model(graph), path)
    return path


def portable_model(folder: Path, inputs: int = 8, outputs: int = 3, location: str | None = None) -> Path:
    """Write linear_model with its weights in a file beside it, named by its sha256 or as `location` says."""
    folder.mkdir(parents=True, exist_ok=True)
    path = linear_model(folder / "model.onnx", inputs, outputs)
    return _with_weights_beside(path, load(path), location)


def fused_model(folder: Path) -> Path:
    """Write relu(x @ weights(64, 64) + 1), which ONNX Runtime fuses step by step, with its weights beside it."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        helper.make_node("Add", ["product", "b"], ["sum"]),
        helper.make_node("Relu", ["sum"], ["y"]),
    ]
    shape: Shape = ["rows", 64]
    graph = helper.make_graph(
        nodes,
        "fused",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(weights(64, 64), "w"), numpy_helper.from_array(np.ones(64, np.float32), "b")],
    )
    folder.mkdir(parents=True, exist_ok=True)
    return _with_weights_beside(folder / "model.onnx", _model(graph))


def scaled_model(folder: Path, factors: np.ndarray) -> Path:
    """Write y = x * factors, float32 (width,), with the factors beside it; no kernel packs them, so they are mapped."""
    shape: Shape = ["rows", len(factors)]
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "factors"], ["y"])],
        "scaled",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(factors, "factors")],
    )
    folder.mkdir(parents=True, exist_ok=True)
    return _with_weights_beside(folder / "model.onnx", _model(graph))


def _with_weights_beside(path: Path, model: ModelProto, location: str | None = None) -> Path:
    tensor = model.graph.initializer[0]
    name = location or hashlib.sha256(tensor.raw_data).hexdigest()
    (path.parent / name).write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=name)
    path.write_bytes(model.SerializeToString())
    return path


def two_headed_model(path: Path) -> Path:
    """Write a model of total = a + b and difference = a - b; a is float32 (rows, 2), b float32 (rows, 2)."""
    shape: Shape = ["rows", 2]
    nodes = [helper.make_node("Add", ["a", "b"], ["total"]), helper.make_node("Sub", ["a", "b"], ["difference"])]
    return _weightless(path, nodes, {"a": shape, "b": shape}, {"total": shape, "difference": shape})


def summing_model(path: Path) -> Path:
    """The sum over everything: its output has no axis of rows."""
    node = helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0)
    return _weightless(path, [node], {"x": ["rows", 2]}, {"y": []})


def uneven_model(path: Path) -> Path:
    """The values above 0 in one row, as (1, count): rows of different lengths."""
    nodes = [
        helper.make_node("Relu", ["x"], ["positive"]),
        helper.make_node("NonZero", ["positive"], ["where"]),
        helper.make_node("Cast", ["where"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["numbers"], ["y"], axes=[0], keepdims=1),
    ]
    return _weightless(path, nodes, {"x": [1, 4]}, {"y": [1, "count"]})


def logarithm_model(path: Path) -> Path:
    """Write a model of roots = sqrt(x) and logarithms = log(x): NaN below 0, and an infinity at 0."""
    shape: Shape = ["rows", 2]
    nodes = [helper.make_node("Sqrt", ["x"], ["roots"]), helper.make_node("Log", ["x"], ["logarithms"])]
    return _weightless(path, nodes, {"x": shape}, {"roots": shape, "logarithms": shape})


def _weightless(path: Path, nodes: list[NodeProto], inputs: dict[str, Shape], outputs: dict[str, Shape]) -> Path:
    taken, given = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in tensors.items()]
        for tensors in (inputs, outputs)
    )
    save(_model(helper.make_graph(nodes, "weightless", taken, given)), path)
    return path


def _model(graph: GraphProto) -> ModelProto:
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)

"""A model of a few megabytes with its weights in one file beside it, which ONNX Runtime maps."""

import hashlib
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from tests.edge_runtime.install.carried import CLASSES, WIDTH

SIDE = 1500


def external_model(folder: Path, side: int = SIDE) -> Path:
    """Write y = relu(x @ a + b) @ c + d; a weight of 9 MB lies beside the graph, under its sha256."""
    folder.mkdir(parents=True)
    chance = np.random.default_rng(3)
    shapes = {"a": (WIDTH, side), "b": (side,), "m": (side, side), "n": (side,), "c": (side, CLASSES), "d": (CLASSES,)}
    tensors = {name: chance.standard_normal(shape, np.float32) / np.float32(30) for name, shape in shapes.items()}
    nodes = [
        helper.make_node("Gemm", ["x", "a", "b"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Gemm", ["r", "m", "n"], ["i"]),
        helper.make_node("Relu", ["i"], ["s"]),
        helper.make_node("Gemm", ["s", "c", "d"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "sharing", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", WIDTH])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", CLASSES])],
        [numpy_helper.from_array(array, name) for name, array in tensors.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (large,) = (tensor for tensor in model.graph.initializer if tensor.name == "m")
    name = hashlib.sha256(large.raw_data).hexdigest()
    (folder / name).write_bytes(large.raw_data)
    large.ClearField("raw_data")
    large.data_location = TensorProto.EXTERNAL
    large.external_data.add(key="location", value=name)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return folder / "model.onnx"

"""The histogram of the operators that ONNX Runtime runs."""

from pathlib import Path

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper, save

from edge_runtime.settings import TensorSpec
from model_compression.onnx_files.inspection import computes_in_steps, graph_tensors, optimized_operators
from model_compression.quantization import quantize_after_training
from tests.model_compression.toys import digits, float_file, is_integer


def test_the_histogram_is_of_the_optimized_graph(tmp_path: Path) -> None:
    source = float_file("resnet", tmp_path)
    assert not any(map(is_integer, optimized_operators(source))) and not computes_in_steps(source)
    rows = (digits("train").images[:100],)
    path = quantize_after_training(source, rows, tmp_path / "int8.onnx", method="minmax", reduce_range=False)
    counts = optimized_operators(path)
    assert {name: counts[name] for name in ("QLinearConv", "QLinearAdd", "QGemm")} == {
        "QLinearConv": 6,
        "QLinearAdd": 2,
        "QGemm": 1,
    }
    assert next(iter(counts)) == "QLinearConv"  # the most frequent first
    assert computes_in_steps(path)
    assert sorted(path.parent.glob("*optimized*")) == []


def test_the_tensors_are_those_that_the_file_declares(tmp_path: Path) -> None:
    inputs, outputs = graph_tensors(float_file("resnet", tmp_path))
    assert [(each.dtype, each.shape) for each in inputs] == [("float32", (None, 1, 8, 8))]
    assert [(each.dtype, each.shape) for each in outputs] == [("float32", (None, 10))]
    assert all(isinstance(each, TensorSpec) for each in (*inputs, *outputs))


def within(node: NodeProto) -> NodeProto:
    """A node that has another one in a graph of its own."""
    given = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    branch = helper.make_graph([node], "branch", [], given)
    return helper.make_node("If", ["yes"], ["y"], then_branch=branch, else_branch=branch)


NODES: dict[str, tuple[NodeProto, np.dtype, bool]] = {
    "float": (helper.make_node("MatMul", ["x", "w"], ["y"]), np.dtype("float32"), False),
    "float cast": (helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT), np.dtype("float32"), False),
    "half weights": (helper.make_node("MatMul", ["x", "w"], ["y"]), np.dtype("float16"), True),
    "half cast": (helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT16), np.dtype("float32"), True),
    "bfloat16 cast": (helper.make_node("Cast", ["x"], ["y"], to=TensorProto.BFLOAT16), np.dtype("float32"), True),
    "dynamic": (helper.make_node("DynamicQuantizeLinear", ["x"], ["y"]), np.dtype("float32"), True),
    "integers": (helper.make_node("MatMulInteger", ["x", "w"], ["y"]), np.dtype("int8"), True),
    "four bits": (helper.make_node("MatMulNBits", ["x", "w"], ["y"]), np.dtype("float32"), True),
    "within": (within(helper.make_node("QLinearConv", ["x"], ["y"])), np.dtype("float32"), True),
    "float within": (within(helper.make_node("Conv", ["x"], ["y"])), np.dtype("float32"), False),
}


@pytest.mark.parametrize("name", NODES)
def test_numbers_of_few_bits_are_seen_wherever_they_are(tmp_path: Path, name: str) -> None:
    node, dtype, steps = NODES[name]
    weights = numpy_helper.from_array(np.ones((2, 2), dtype), "w")
    save(helper.make_model(helper.make_graph([node], "one", [], [], [weights])), tmp_path / "one.onnx")
    assert computes_in_steps(tmp_path / "one.onnx") is steps

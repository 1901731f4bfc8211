"""Compact graphs compute the same in fewer bytes."""

import itertools
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from model_compression.onnx_files import compact, save_onnx
from model_compression.quantization.qat import quantize_biases
from tests.model_compression.graphs import quantized_linear
from tests.model_compression.toys import digits, float_file, kernels, run

ROWS = digits("test").images[:20]


def model_of(nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray]) -> ModelProto:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 2]) for name in ("input", "output")]
    tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def adding(first: str, second: str, constants: dict[str, np.ndarray]) -> ModelProto:
    nodes = [
        helper.make_node("Add", ["input", first], ["a_long_name_within"], name="another_long_name"),
        helper.make_node("Add", ["a_long_name_within", second], ["output"], name="and_one_more"),
    ]
    return model_of(nodes, constants)


def test_a_real_model_answers_bit_by_bit_and_runs_the_same_kernels(tmp_path: Path) -> None:
    source = float_file("resnet", tmp_path)
    smaller = save_onnx(compact(onnx.load(source)), tmp_path / "smaller.onnx")
    np.testing.assert_array_equal(run(smaller, ROWS), run(source, ROWS))
    assert kernels(smaller) == kernels(source)
    assert smaller.stat().st_size < source.stat().st_size - 1000
    onnx.checker.check_model(onnx.load(smaller), full_check=True)


def test_inputs_and_outputs_keep_their_names_and_the_rest_is_short() -> None:
    model = compact(adding("left", "right", {"left": np.ones(2, np.float32), "right": np.zeros(2, np.float32)}))
    assert [value.name for value in [*model.graph.input, *model.graph.output]] == ["input", "output"]
    assert {node.name for node in model.graph.node} == {""}
    inner = {name for node in model.graph.node for name in [*node.input, *node.output]} - {"input", "output"}
    assert inner == {"0", "1", "2"}


def test_a_short_name_that_is_an_input_is_not_given_twice() -> None:
    model = adding("left", "right", {"left": np.ones(2, np.float32), "right": np.zeros(2, np.float32)})
    model.graph.input[0].name = model.graph.node[0].input[0] = "1"
    compact(model)
    assert [list(node.input) for node in model.graph.node] == [["1", "0"], ["3", "2"]]
    onnx.checker.check_model(model, full_check=True)


def test_more_tensors_than_characters_keep_names_apart() -> None:
    names = ["input", *(f"step_{index}" for index in range(200)), "output"]
    nodes = [helper.make_node("Neg", [a], [b]) for a, b in itertools.pairwise(names)]
    model = compact(model_of(nodes, {}))
    assert len({node.output[0] for node in model.graph.node}) == 201
    assert max(len(node.output[0]) for node in model.graph.node[:-1]) == 2
    onnx.checker.check_model(model, full_check=True)


def test_equal_constants_become_one_and_unread_ones_go() -> None:
    ones = np.ones(2, np.float32)
    model = compact(adding("left", "right", {"left": ones, "right": ones.copy(), "unread": np.zeros(9)}))
    assert len(model.graph.initializer) == 1
    assert model.graph.node[0].input[1] == model.graph.node[1].input[1] == model.graph.initializer[0].name


@pytest.mark.parametrize(
    "other", [np.ones((1, 2), np.float32), np.array([1, 2], np.float32), np.array(1.0, np.float32)], ids=str
)
def test_constants_of_another_shape_or_value_stay_apart(other: np.ndarray) -> None:
    assert (
        len(compact(adding("left", "right", {"left": np.ones(2, np.float32), "right": other})).graph.initializer) == 2
    )


def test_bytes_that_are_another_type_stay_apart() -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["input", "s", "signed"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "signed"], ["d"]),
        helper.make_node("QuantizeLinear", ["d", "s", "unsigned"], ["p"]),
        helper.make_node("DequantizeLinear", ["p", "s", "unsigned"], ["output"]),
    ]
    model = compact(
        model_of(
            nodes, {"s": np.array(1, np.float32), "signed": np.array(0, np.int8), "unsigned": np.array(0, np.uint8)}
        )
    )
    assert len(model.graph.initializer) == 3
    onnx.checker.check_model(model, full_check=True)


def test_attributes_that_say_the_default_go_and_others_stay() -> None:
    node = helper.make_node("Gemm", ["input", "w"], ["output"], alpha=1.0, beta=0.5, transA=0, transB=1)
    model = compact(model_of([node], {"w": np.ones((2, 2), np.float32)}))
    assert {attribute.name for attribute in model.graph.node[0].attribute} == {"beta", "transB"}


def test_zero_points_of_int32_go_and_those_of_weights_stay(tmp_path: Path) -> None:
    model = quantize_biases(quantized_linear())
    bias = next(node for node in model.graph.node if node.op_type == "DequantizeLinear" and len(node.input) == 2)
    bias.input.append("bz")
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(3, np.int32), "bz"))
    compact(model)
    dequantizers = [node for node in model.graph.node if node.op_type == "DequantizeLinear"]
    assert sorted(len(node.input) for node in dequantizers) == [2, 3, 3]
    assert kernels(save_onnx(model, tmp_path / "m.onnx"))["QGemm"] == 1


def test_a_graph_with_a_subgraph_stays_as_it_is() -> None:
    inner = [helper.make_tensor_value_info("inside", TensorProto.FLOAT, ["rows", 2])]
    branch = helper.make_graph([helper.make_node("Neg", ["a_long_name"], ["inside"])], "branch", [], inner)
    nodes = [
        helper.make_node("Abs", ["input"], ["a_long_name"], name="kept"),
        helper.make_node("If", ["which"], ["output"], then_branch=branch, else_branch=branch),
    ]
    model = model_of(nodes, {"which": np.array(True)})
    before = model.SerializeToString()
    assert compact(model).SerializeToString() == before

"""Integer biases, on graphs built for the purpose."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from model_compression.onnx_files import save_onnx
from model_compression.quantization.qat import quantize_biases
from tests.model_compression.toys import kernels, run

RNG = np.random.default_rng(0)
WEIGHT = RNG.integers(-64, 65, size=(3, 4)).astype(np.int8)
SCALE = np.array([0.02, 0.005, 0.01], np.float32)
BIAS = np.array([0.31, -0.71, 0.11], np.float32)
ROWS = RNG.uniform(0, 2, size=(50, 4)).astype(np.float32)


def linear(
    bias: np.ndarray = BIAS,
    scale: np.ndarray = SCALE,
    *,
    axis: int = 0,
    weight: np.ndarray = WEIGHT,
    quantized_input: bool = True,
    **attributes: float,
) -> ModelProto:
    """x -> uint8 and back -> Gemm with int8 weights and a float bias -> y."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "xs", "xz"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "xs", "xz"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wd"], axis=axis),
        helper.make_node("Gemm", ["xd" if quantized_input else "x", "wd", "b"], ["y"], **{"transB": 1, **attributes}),
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
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def constants_of(model: ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def answers(model: ModelProto, folder: Path) -> np.ndarray:
    return run(save_onnx(model, folder / "model.onnx"), ROWS)


def test_a_linear_with_a_float_output_then_runs_in_integers(tmp_path: Path) -> None:
    before = kernels(save_onnx(linear(), tmp_path / "before.onnx"))
    after = kernels(save_onnx(quantize_biases(linear()), tmp_path / "after.onnx"))
    assert before["Gemm"] == 1
    assert (after["QGemm"], after["Gemm"]) == (1, 0)


def test_answers_stay_within_half_a_step_of_the_bias(tmp_path: Path) -> None:
    expected, got = answers(linear(), tmp_path), answers(quantize_biases(linear()), tmp_path)
    assert (np.abs(got - expected) <= SCALE * 2 / 255 / 2 + 1e-6).all()


def test_the_bias_is_int32_by_the_scale_of_the_products_and_the_float_one_is_gone() -> None:
    model = quantize_biases(linear())
    onnx.checker.check_model(model, full_check=True)
    arrays = [array for array in constants_of(model).values() if array.dtype == np.int32]
    assert [array.tolist() for array in arrays] == [np.rint(BIAS / (SCALE * np.float32(2 / 255))).tolist()]
    assert "b" not in constants_of(model)


def test_two_layers_with_one_bias_get_one_each() -> None:
    model = linear()
    second = helper.make_node("Gemm", ["xd", "wd", "b"], ["z"], transB=1)
    model.graph.node.append(second)
    model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, ["rows", 3]))
    quantize_biases(model)
    onnx.checker.check_model(model, full_check=True)
    names = [node.input[2] for node in model.graph.node if node.op_type == "Gemm"]
    assert len(set(names)) == 2


def test_a_bias_that_does_not_fit_raises_the_scale_of_its_channel_only(tmp_path: Path) -> None:
    scale = SCALE.copy()
    scale[1] = 1e-9  # a channel that does nothing but add its bias
    expected = answers(linear(scale=scale), tmp_path)
    model = quantize_biases(linear(scale=scale))
    np.testing.assert_allclose(answers(model, tmp_path), expected, atol=2e-4)
    arrays = constants_of(model)
    (raised,) = [
        array for array in arrays.values() if array.dtype == np.float32 and array.shape == (3,) and array[1] > 1e-8
    ]
    np.testing.assert_array_equal(raised[[0, 2]], scale[[0, 2]])
    assert kernels(save_onnx(model, tmp_path / "m.onnx"))["QGemm"] == 1


@pytest.mark.parametrize(
    "model",
    [
        linear(quantized_input=False),
        linear(axis=1, scale=np.ones(4, np.float32)),
        linear(alpha=2.0),
        linear(beta=0.5),
    ],
)
def test_what_the_kernels_do_not_take_stays(model: ModelProto) -> None:
    quantize_biases(model)
    assert not any(array.dtype == np.int32 for array in constants_of(model).values())
    assert model.graph.node[-1].input[2] == "b"
    np.testing.assert_array_equal(constants_of(model)["b"], BIAS)


def test_one_scale_for_all_channels_is_taken_too(tmp_path: Path) -> None:
    def whole() -> ModelProto:
        model = linear()
        for tensor in model.graph.initializer:
            if tensor.name == "ws":
                tensor.CopyFrom(numpy_helper.from_array(np.float32(0.01), "ws"))
            if tensor.name == "wz":
                tensor.CopyFrom(numpy_helper.from_array(np.int8(0), "wz"))
        return model

    expected, got = answers(whole(), tmp_path), answers(quantize_biases(whole()), tmp_path)
    np.testing.assert_allclose(got, expected, atol=1e-4)

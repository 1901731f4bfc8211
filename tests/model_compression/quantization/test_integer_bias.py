"""Integer biases, on graphs built for the purpose."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from model_compression.onnx_files import save_onnx
from model_compression.quantization.qat import quantize_biases
from tests.model_compression.graphs import BIAS, ROWS, SCALE, quantized_linear
from tests.model_compression.toys import kernels, run


def constants_of(model: ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def answers(model: ModelProto, folder: Path) -> np.ndarray:
    return run(save_onnx(model, folder / "model.onnx"), ROWS)


def test_a_linear_with_a_float_output_then_runs_in_integers(tmp_path: Path) -> None:
    before = kernels(save_onnx(quantized_linear(), tmp_path / "before.onnx"))
    after = kernels(save_onnx(quantize_biases(quantized_linear()), tmp_path / "after.onnx"))
    assert before["Gemm"] == 1
    assert (after["QGemm"], after["Gemm"]) == (1, 0)


def test_answers_stay_within_half_a_step_of_the_bias(tmp_path: Path) -> None:
    expected, got = answers(quantized_linear(), tmp_path), answers(quantize_biases(quantized_linear()), tmp_path)
    assert (np.abs(got - expected) <= SCALE * 2 / 255 / 2 + 1e-6).all()


def test_the_bias_is_int32_by_the_scale_of_the_products_and_the_float_one_is_gone() -> None:
    model = quantize_biases(quantized_linear())
    onnx.checker.check_model(model, full_check=True)
    arrays = [array for array in constants_of(model).values() if array.dtype == np.int32]
    assert [array.tolist() for array in arrays] == [np.rint(BIAS / (SCALE * np.float32(2 / 255))).tolist()]
    assert "b" not in constants_of(model)


def test_two_layers_with_one_bias_get_one_each() -> None:
    model = quantized_linear()
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
    expected = answers(quantized_linear(scale=scale), tmp_path)
    model = quantize_biases(quantized_linear(scale=scale))
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
        quantized_linear(quantized_input=False),
        quantized_linear(axis=1, scale=np.ones(4, np.float32)),
        quantized_linear(alpha=2.0),
        quantized_linear(beta=0.5),
    ],
)
def test_what_the_kernels_do_not_take_stays(model: ModelProto) -> None:
    quantize_biases(model)
    assert not any(array.dtype == np.int32 for array in constants_of(model).values())
    assert model.graph.node[-1].input[2] == "b"
    np.testing.assert_array_equal(constants_of(model)["b"], BIAS)


def test_one_scale_for_all_channels_is_taken_too(tmp_path: Path) -> None:
    def whole() -> ModelProto:
        model = quantized_linear()
        for tensor in model.graph.initializer:
            if tensor.name == "ws":
                tensor.CopyFrom(numpy_helper.from_array(np.array(0.01, np.float32), "ws"))
            if tensor.name == "wz":
                tensor.CopyFrom(numpy_helper.from_array(np.array(0, np.int8), "wz"))
        return model

    expected, got = answers(whole(), tmp_path), answers(quantize_biases(whole()), tmp_path)
    np.testing.assert_allclose(got, expected, atol=1e-4)


def test_a_constant_that_only_a_branch_reads_stays(tmp_path: Path) -> None:
    model = quantized_linear()
    shifted = helper.make_node("Add", ["y", "shift"], ["shifted"])
    same = helper.make_node("Identity", ["y"], ["same"])
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("shifted", "same")]
    branches = [helper.make_graph([shifted], "then", [], given[:1]), helper.make_graph([same], "else", [], given[1:])]
    model.graph.node.append(helper.make_node("If", ["true"], ["z"], then_branch=branches[0], else_branch=branches[1]))
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "true"))
    model.graph.initializer.append(numpy_helper.from_array(np.array([5], np.float32), "shift"))
    model.graph.output[0].name = "z"
    quantize_biases(model)
    onnx.checker.check_model(model, full_check=True)
    assert constants_of(model)["shift"] == 5
    np.testing.assert_allclose(
        answers(model, tmp_path) - 5, answers(quantize_biases(quantized_linear()), tmp_path), atol=1e-5
    )

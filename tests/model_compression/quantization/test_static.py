"""Post-training quantization of trained digit classifiers."""

import logging
import tempfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper
from torch import nn

from model_compression.errors import QuantizationError
from model_compression.onnx_files import export_onnx
from model_compression.quantization import answers, quantize_after_training, quantize_mixed
from model_compression.quantization.ranges import METHODS
from tests.model_compression.toys import accuracy, digits, float_file, int8_weights, kernels, run

CALIBRATION = (digits("train").images[:200],)
ROWS = digits("test").images


@pytest.fixture(params=["cnn", "resnet"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def source(kind: str, tmp_path: Path) -> Path:
    return float_file(kind, tmp_path)


def quantize(source: Path, *, method: str = "minmax", reduce_range: bool = True) -> Path:
    target = source.parent / "out" / "int8.onnx"
    assert quantize_after_training(source, CALIBRATION, target, method=method, reduce_range=reduce_range) == target
    return target


@pytest.mark.parametrize("method", METHODS)
def test_a_third_of_the_file_answers_nearly_as_well(source: Path, method: str) -> None:
    path = quantize(source, method=method)
    assert path.stat().st_size < 0.36 * source.stat().st_size
    expected, got = run(source, ROWS), run(path, ROWS)
    assert accuracy(expected) > 0.8
    assert accuracy(got) > accuracy(expected) - 0.02
    assert (got.argmax(1) == expected.argmax(1)).mean() > 0.95
    assert run(path, ROWS[:1]).shape == (1, 10)


def test_everything_that_weighs_runs_in_integers(source: Path, kind: str) -> None:
    counts = kernels(quantize(source))
    expected = {"cnn": {"QLinearConv": 2, "QGemm": 2}, "resnet": {"QLinearConv": 6, "QLinearAdd": 2, "QGemm": 1}}
    assert {name: counts[name] for name in expected[kind]} == expected[kind]
    assert not {"Conv", "FusedConv", "Gemm", "MatMul", "Add", "BatchNormalization"} & set(counts)


def test_weights_are_int8_by_channel_and_activations_uint8(tmp_path: Path) -> None:
    graph = onnx.load(quantize(float_file("cnn", tmp_path))).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    dequantized = [node for node in graph.node if node.op_type == "DequantizeLinear" and node.input[0] in constants]
    weights = [node for node in dequantized if constants[node.input[0]].dtype == np.int8]
    assert sorted(len(constants[node.input[1]]) for node in weights) == [10, 16, 32, 32]
    quantizers = [node for node in graph.node if node.op_type == "QuantizeLinear"]
    assert quantizers
    assert {constants[node.input[2]].dtype for node in quantizers} == {np.dtype(np.uint8)}
    assert not any(array.dtype == np.float32 and array.ndim > 1 for array in constants.values())


@pytest.mark.parametrize(("reduce_range", "largest"), [(False, 127), (True, 64)])
def test_reduced_range_keeps_weights_to_seven_bits(tmp_path: Path, reduce_range: bool, largest: int) -> None:
    weights = int8_weights(quantize(float_file("cnn", tmp_path), reduce_range=reduce_range))
    assert len(weights) == 4
    assert {int(np.abs(array.astype(int)).max()) for array in weights} == {largest}


def test_nothing_is_left_beside_the_file_and_the_loggers_speak_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    source = float_file("cnn", tmp_path / "model")
    levels = {name: logging.getLogger(name).level for name in ("", "onnxruntime")}
    path = quantize(source, method="percentile")
    assert list((tmp_path / "tmp").iterdir()) == []
    assert list(path.parent.iterdir()) == [path]
    assert set(source.parent.iterdir()) == {source, path.parent}
    assert {name: logging.getLogger(name).level for name in levels} == levels
    assert capsys.readouterr().out == ""


def test_metadata_and_long_names_are_gone(tmp_path: Path) -> None:
    model = onnx.load(quantize(float_file("cnn", tmp_path)))
    onnx.checker.check_model(model, full_check=True)
    assert not model.metadata_props
    assert not model.graph.value_info
    assert [value.name for value in [*model.graph.input, *model.graph.output]] == ["image", "output"]
    assert not any(tensor.data_type == TensorProto.FLOAT and len(tensor.name) > 3 for tensor in model.graph.initializer)


IMAGES = np.random.default_rng(0).normal(size=(40, 1, 6, 6)).astype(np.float32)


def with_layer(layer: nn.Module, folder: Path) -> Path:
    """A float file with this layer of 4 to 8 channels between two convolutions."""
    torch.manual_seed(0)
    first, last = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(8, 4, 3)
    model = nn.Sequential(first, nn.ReLU(), layer, nn.ReLU(), last, nn.Flatten(), nn.LazyLinear(3)).eval()
    example = (torch.from_numpy(IMAGES[:4]),)
    model(*example)
    return export_onnx(model, example, ["image"], folder / "float.onnx")


@pytest.mark.parametrize("groups", [2, 4])
@pytest.mark.parametrize("rung", ["ptq", "mixed"])
def test_a_layer_that_cannot_be_quantized_costs_itself_alone(groups: int, rung: str, tmp_path: Path) -> None:
    source = with_layer(nn.ConvTranspose2d(4, 8, 2, 2, groups=groups), tmp_path)
    expected, path = answers(source, (IMAGES,)), tmp_path / "q.onnx"
    if rung == "ptq":
        quantize_after_training(source, (IMAGES,), path, method="minmax", reduce_range=False)
    else:
        quantize_mixed(
            source, (IMAGES,), (IMAGES,), lambda outputs: -float(np.abs(outputs - expected).max()), path,
            method="minmax", reduce_range=False, at_most=1, tolerance=1.0,
        )  # fmt: skip
    graph = onnx.load(path).graph
    integers = [tensor for tensor in graph.initializer if tensor.data_type == TensorProto.INT8 and len(tensor.dims) > 1]
    assert len(integers) == 3  # two convolutions and the linear
    assert np.abs(answers(path, (IMAGES,)) - expected).max() < 0.1 * np.abs(expected).max()


def test_a_layer_that_can_be_quantized_is(tmp_path: Path) -> None:
    source = with_layer(nn.ConvTranspose2d(4, 8, 2, 2), tmp_path)
    path = quantize_after_training(source, (IMAGES,), tmp_path / "q.onnx", method="minmax", reduce_range=False)
    graph = onnx.load(path).graph
    integers = [tensor for tensor in graph.initializer if tensor.data_type == TensorProto.INT8 and len(tensor.dims) > 1]
    assert len(integers) == 4


class TestRefusals:
    def test_damaged_rows_leave_no_file(self, tmp_path: Path) -> None:
        images = CALIBRATION[0].copy()
        images[3] = np.nan
        with pytest.raises(QuantizationError, match="NaN"):
            quantize_after_training(
                float_file("cnn", tmp_path), (images,), tmp_path / "q.onnx", method="minmax", reduce_range=True
            )
        assert not (tmp_path / "q.onnx").exists()
        assert logging.getLogger().level == logging.root.level

    def test_rows_of_another_shape(self, tmp_path: Path) -> None:
        with pytest.raises(QuantizationError, match=r"expected cnn\.onnx to quantize with 200 calibration rows"):
            quantize_after_training(
                float_file("cnn", tmp_path),
                (CALIBRATION[0][:, :, :5],),
                tmp_path / "q.onnx",
                method="minmax",
                reduce_range=True,
            )

    def test_a_file_that_is_no_model(self, tmp_path: Path) -> None:
        (tmp_path / "broken.onnx").write_bytes(b"no graph")
        with pytest.raises(QuantizationError, match=r"broken\.onnx"):
            quantize(tmp_path / "broken.onnx")


def test_activations_are_int8_where_asked(tmp_path: Path) -> None:
    source = float_file("cnn", tmp_path)
    path = quantize_after_training(
        source, CALIBRATION, tmp_path / "int8.onnx", method="minmax", reduce_range=False, activations="int8"
    )
    graph = onnx.load(path).graph
    zero_points = {node.input[2] for node in graph.node if node.op_type == "QuantizeLinear"}
    types = {tensor.data_type for tensor in graph.initializer if tensor.name in zero_points}
    assert types == {TensorProto.INT8}
    assert accuracy(run(path, ROWS)) > accuracy(run(source, ROWS)) - 0.02

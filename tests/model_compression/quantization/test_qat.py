"""Quantization-aware training of digit classifiers: it learns, ships what it trained, and runs in integers."""

import collections
import functools
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from onnx import numpy_helper
from torch import Tensor, nn
from torch.fx import GraphModule

from model_compression.errors import QuantizationError, TrainingError
from model_compression.quantization import qat, quantize_after_training
from model_compression.quantization.qat import convert, prepare_for_qat, train_quantized
from model_compression.training import predict
from tests.model_compression.toys import (
    EXAMPLE,
    SETTINGS,
    TinyCnn,
    accuracy,
    digits,
    float_accuracy,
    float_file,
    int8_weights,
    kernels,
    pruned,
    run,
    trained,
    untrained,
    with_statistics,
)

TRAIN, ROWS = digits("train"), digits("test").images
CALIBRATION = (TRAIN.images[:200],)
TUNING = replace(SETTINGS, epochs=2, learning_rate=1e-3, distillation_weight=0.5)
MODELS: dict[str, Callable[[], GraphModule]] = {
    "cnn": lambda: trained("cnn"),
    "pruned resnet": lambda: pruned("resnet"),
}
ALL = pytest.mark.parametrize("kind", MODELS)


class Result(NamedTuple):
    """The file that came out, what the converted module answers, and which kernels ONNX Runtime runs."""

    content: bytes
    converted: np.ndarray
    kernels: collections.Counter[str]

    def save(self, folder: Path) -> Path:
        path = folder / "int8.onnx"
        path.write_bytes(self.content)
        return path


@functools.cache
def quantized(kind: str) -> Result:
    """Train and export one of MODELS; once for all tests."""
    modules: list[GraphModule] = []

    def kept(prepared: GraphModule) -> GraphModule:
        modules.append(convert(prepared))
        return modules[-1]

    teacher = predict(trained(kind.rsplit(maxsplit=1)[-1]), (TRAIN.images,))
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(qat, "convert", kept):
        path = train_quantized(
            MODELS[kind](),
            EXAMPLE,
            CALIBRATION,
            (TRAIN.images,),
            TRAIN.labels,
            teacher,
            F.cross_entropy,
            TUNING,
            reduce_range=True,
            names=["image"],
            path=Path(folder) / "deep" / "int8.onnx",
        )
        with torch.no_grad():
            converted = modules[0](torch.from_numpy(ROWS)).numpy()
        return Result(path.read_bytes(), converted, kernels(path))


@ALL
def test_accuracy_is_kept(kind: str, tmp_path: Path) -> None:
    before = float_accuracy(MODELS[kind]())
    assert before > 0.8
    assert accuracy(run(quantized(kind).save(tmp_path), ROWS)) > before - 0.02


@ALL
def test_onnx_runtime_answers_as_the_converted_module(kind: str, tmp_path: Path) -> None:
    result = quantized(kind)
    got = run(result.save(tmp_path), ROWS)
    assert np.abs(got - result.converted).max() < 0.02 * np.abs(result.converted).max()
    assert (got.argmax(1) == result.converted.argmax(1)).mean() > 0.99
    assert run(result.save(tmp_path), ROWS[:1]).shape == (1, 10)


@ALL
def test_every_convolution_linear_pool_and_residual_add_runs_in_integers(kind: str) -> None:
    expected = {
        "cnn": {"QLinearConv": 2, "QGemm": 2, "QLinearAveragePool": 1, "NhwcMaxPool": 1},
        "resnet": {"QLinearConv": 6, "QGemm": 1, "QLinearAdd": 2},
    }[kind.rsplit(maxsplit=1)[-1]]
    counts = quantized(kind).kernels
    assert {name: counts[name] for name in expected} == expected
    assert not {"Conv", "FusedConv", "Gemm", "MatMul", "Add", "Relu", "MaxPool", "AveragePool"} & set(counts)


@ALL
def test_the_file_stores_int8_weights_and_no_larger_one_than_ptqs(kind: str, tmp_path: Path) -> None:
    path = quantized(kind).save(tmp_path)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    arrays = [numpy_helper.to_array(tensor) for tensor in model.graph.initializer]
    assert not any(array.dtype == np.float32 and array.ndim > 1 for array in arrays)
    assert not model.graph.value_info
    assert not any(node.metadata_props for node in model.graph.node)
    source = float_file(kind.rsplit(maxsplit=1)[-1], tmp_path, smaller=kind.startswith("pruned"))
    rival = tmp_path / "ptq.onnx"
    quantize_after_training(source, CALIBRATION, rival, method="minmax", reduce_range=True)
    assert path.stat().st_size < 1.01 * rival.stat().st_size
    assert path.stat().st_size < 0.4 * source.stat().st_size


@ALL
def test_reduced_range_keeps_weights_to_seven_bits(kind: str, tmp_path: Path) -> None:
    weights = int8_weights(quantized(kind).save(tmp_path))
    assert len(weights) == {"cnn": 4, "resnet": 7}[kind.rsplit(maxsplit=1)[-1]]
    assert {int(np.abs(array.astype(int)).max()) for array in weights} == {64}


class TestPreparing:
    def test_what_evaluation_shows_is_what_conversion_gives(self) -> None:
        prepared = prepare_for_qat(trained("cnn"), EXAMPLE, CALIBRATION, reduce_range=True)
        shown = predict(prepared, (ROWS,))
        np.testing.assert_allclose(predict(prepared, (ROWS * 2,))[:1], predict(prepared, (ROWS[:1] * 2,)), atol=1e-5)
        assert np.array_equal(predict(prepared, (ROWS,)), shown)  # looking at other rows moved no range
        converted = convert(prepared)
        with torch.no_grad():
            got = converted(torch.from_numpy(ROWS)).numpy()
        np.testing.assert_allclose(got, shown, atol=1e-5)

    def test_rounding_is_felt_and_nothing_else_changes(self) -> None:
        model = trained("cnn")
        expected = predict(model, (ROWS,))
        prepared = prepare_for_qat(model, EXAMPLE, CALIBRATION, reduce_range=False)
        got = predict(prepared, (ROWS,))
        assert 0 < np.abs(got - expected).max() < 0.1 * np.abs(expected).max()
        assert np.array_equal(predict(model, (ROWS,)), expected)

    def test_full_range_uses_all_eight_bits(self) -> None:
        converted = convert(prepare_for_qat(trained("cnn"), EXAMPLE, CALIBRATION, reduce_range=False))
        weights = [value for value in converted.state_dict().values() if value.dtype == torch.int8]
        assert {int(weight.abs().max()) for weight in weights if weight.dim() > 1} == {127}

    def test_a_module_that_was_never_exported_is_taken_too(self) -> None:
        torch.manual_seed(0)
        model = TinyCnn()
        prepared = prepare_for_qat(model, EXAMPLE, CALIBRATION, reduce_range=True)
        assert predict(prepared, (ROWS[:3],)).shape == (3, 10)
        assert isinstance(model.features[1], nn.BatchNorm2d)

    def test_a_batch_norm_that_does_not_fold_counts_and_no_longer_depends_on_the_batch(self) -> None:
        images = torch.from_numpy(ROWS)
        model = nn.Sequential(
            nn.Conv2d(1, 8, 3), nn.ReLU(), nn.BatchNorm2d(8, eps=0.1), nn.Flatten(), nn.Linear(288, 4)
        )
        expected = predict(with_statistics(model, images), (ROWS,))
        prepared = prepare_for_qat(model, EXAMPLE, CALIBRATION, reduce_range=True)
        assert np.abs(predict(prepared, (ROWS,)) - expected).max() < 0.05 * np.abs(expected).max()
        assert calls(prepared, "batch_norm") == []
        assert len(calls(prepared, "conv2d")) == 2


def calls(model: GraphModule, name: str) -> list[tuple[object, ...]]:
    """The arguments, but for tensors, of every call of an operator."""
    nodes = [node for node in model.graph.nodes if str(node.target).startswith(f"aten.{name}.")]
    return [tuple(arg for arg in node.args if not isinstance(arg, torch.fx.Node)) for node in nodes]


class TestModes:
    def prepared(self, *layers: nn.Module) -> GraphModule:
        torch.manual_seed(0)
        rows = torch.randn(6, 8)
        model = untrained(nn.Sequential(nn.Linear(8, 16), *layers, nn.Linear(16, 3)), rows)
        return prepare_for_qat(model, (rows,), (rows.numpy(),), reduce_range=True)

    def test_dropout_is_switched_with_its_own_probability(self) -> None:
        model, rows = self.prepared(nn.ReLU(), nn.Dropout(0.25)), torch.ones(2, 8)
        assert torch.equal(model(rows), model(rows))
        assert model.train() is model
        assert calls(model, "dropout") == [(0.25, True)]
        assert not torch.equal(model(rows), model(rows))
        assert model.eval() is model
        assert calls(model, "dropout") == [(0.25, False)]
        assert torch.equal(model(rows), model(rows))
        assert not model.training

    def test_ranges_follow_in_training_only(self) -> None:
        model, wide = self.prepared(nn.ReLU()), 100 * torch.ones(4, 8)
        before = {name: value.clone() for name, value in model.named_buffers() if name.endswith("max_val")}
        model.eval()(wide)
        assert all(torch.equal(value, before[name]) for name, value in model.named_buffers() if name in before)
        model.train()(wide)
        assert any(not torch.equal(value, before[name]) for name, value in model.named_buffers() if name in before)


class TestRefusals:
    def test_a_model_that_does_not_export(self) -> None:
        class Branching(nn.Module):
            def forward(self, x: Tensor) -> Tensor:
                return x if x.sum() > 0 else -x

        with pytest.raises(QuantizationError, match="expected the model to take fake quantization") as caught:
            prepare_for_qat(Branching(), (torch.ones(2, 3),), (np.ones((4, 3), np.float32),), reduce_range=True)
        assert "\n" not in str(caught.value)

    def test_damaged_calibration_rows(self) -> None:
        images = CALIBRATION[0].copy()
        images[5] = np.nan
        with pytest.raises(QuantizationError, match="got 1 of 200 with NaN"):
            prepare_for_qat(trained("cnn"), EXAMPLE, (images,), reduce_range=True)

    def test_no_calibration_rows(self) -> None:
        with pytest.raises(QuantizationError, match="got none"):
            prepare_for_qat(trained("cnn"), EXAMPLE, (TRAIN.images[:0],), reduce_range=True)

    def test_training_that_fails_leaves_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(TrainingError):
            train_quantized(
                trained("cnn"),
                EXAMPLE,
                CALIBRATION,
                (TRAIN.images[:1],),
                TRAIN.labels[:1],
                None,
                F.cross_entropy,
                TUNING,
                reduce_range=True,
                names=["image"],
                path=tmp_path / "int8.onnx",
            )
        assert list(tmp_path.iterdir()) == []


def test_layers_can_stay_in_float(tmp_path: Path) -> None:
    path = train_quantized(
        trained("resnet"),
        EXAMPLE,
        CALIBRATION,
        (TRAIN.images[:256],),
        TRAIN.labels[:256],
        None,
        F.cross_entropy,
        replace(TUNING, epochs=1, learning_rate=1e-5),
        reduce_range=False,
        names=["image"],
        path=tmp_path / "int8.onnx",
        in_float=["stem.0"],
    )
    assert kernels(path)["QLinearConv"] == quantized("pruned resnet").kernels["QLinearConv"] - 1
    assert accuracy(run(path, ROWS)) > float_accuracy(trained("resnet")) - 0.03

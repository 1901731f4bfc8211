"""Layers in float because they cost the accuracy, measured one by one."""

import weakref
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from model_compression.errors import QuantizationError
from model_compression.onnx_files import export_onnx, optimized_operators
from model_compression.quantization import answers, one_layer_at_a_time
from model_compression.quantization.mixed import MixedFile, quantize_mixed
from model_compression.quantization.static import static_quantizer
from tests.model_compression.toys import accuracy, digits, float_file, run

CALIBRATION = (digits("train").images[:200],)
ROWS = digits("test").images


@pytest.fixture
def fragile(tmp_path: Path) -> Path:
    """The hidden layer's outputs of a classifier have one channel a thousand times the others: INT8 drowns these."""
    source = float_file("cnn", tmp_path)
    model = onnx.load(source)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for name in ("hidden.bias", "head.weight"):
        values = numpy_helper.to_array(constants[name]).copy()
        if name == "hidden.bias":
            values[0] = 1e4
        else:
            values[:, 0] = 0
        constants[name].CopyFrom(numpy_helper.from_array(values, name))
    onnx.save_model(model, source)
    return source


def quantize(source: Path, **changes: float) -> tuple[Path, MixedFile]:
    settings: dict[str, Any] = {"method": "minmax", "reduce_range": False, "at_most": 2, "tolerance": 0.02} | changes
    path = source.parent / "out" / "mixed.onnx"
    return path, quantize_mixed(source, CALIBRATION, (ROWS,), accuracy, path, **settings)


def test_the_layers_that_cost_the_accuracy_stay_in_float(fragile: Path) -> None:
    path, found = quantize(fragile)
    assert found.in_float
    assert set(found.in_float) <= {"hidden", "head"}
    assert found.score >= found.whole - 0.02
    assert found.score == accuracy(run(path, ROWS))
    counts = optimized_operators(path)
    assert counts["QLinearConv"] == 2
    assert "Gemm" in counts or "FusedGemm" in counts


def test_where_nothing_costs_accuracy_nothing_stays_in_float(tmp_path: Path) -> None:
    _, found = quantize(float_file("cnn", tmp_path))
    assert found.in_float == ()


def test_no_more_layers_than_allowed(fragile: Path) -> None:
    _, found = quantize(fragile, at_most=0)
    assert found.in_float == ()
    assert found.score < found.whole - 0.02


def test_no_calibration_rows(tmp_path: Path) -> None:
    source = float_file("cnn", tmp_path)
    with pytest.raises(QuantizationError, match="expected calibration rows in input"):
        quantize_mixed(
            source, (np.zeros((0, 1, 8, 8), np.float32),), (ROWS,), accuracy, tmp_path / "mixed.onnx",
            method="minmax", reduce_range=False, at_most=1, tolerance=0,
        )  # fmt: skip
    assert not (tmp_path / "mixed.onnx").exists()


VECTORS = (np.random.default_rng(0).normal(size=(64, 6)).astype(np.float32),)


def exported(folder: Path) -> Path:
    """Two layers."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    path = folder / "model.onnx"
    export_onnx(model, (torch.zeros(2, 6),), ("x",), path)
    return path


def test_every_layer_is_quantized_alone(tmp_path: Path) -> None:
    source = exported(tmp_path)
    first, *layers = one_layer_at_a_time(source, VECTORS, VECTORS, method="minmax", reduce_range=False)
    whole = first.outputs
    assert (first.layer, first.output_change) == ("", 0)
    assert [layer.layer for layer in layers] == ["0", "2"]
    assert whole.shape == (64, 3)
    for layer in layers:
        change = np.linalg.norm(layer.outputs - whole) / np.linalg.norm(whole)
        assert layer.output_change == pytest.approx(float(change))
        assert 0 < layer.output_change < 0.05
    assert not np.array_equal(layers[0].outputs, layers[1].outputs)


def test_the_outputs_of_few_layers_are_held_at_a_time(tmp_path: Path) -> None:
    layers = [part for _ in range(8) for part in (nn.Linear(6, 6), nn.ReLU())]
    source = export_onnx(nn.Sequential(*layers).eval(), (torch.zeros(2, 6),), ("x",), tmp_path / "deep.onnx")
    held, most, names = list[weakref.ref[np.ndarray]](), 0, []
    for alone in one_layer_at_a_time(source, VECTORS, VECTORS, method="minmax", reduce_range=False):
        held.append(weakref.ref(alone.outputs))
        most = max(most, sum(outputs() is not None for outputs in held))
        names.append(alone.layer)
    assert len(names) == 1 + 8 and most <= 3


def test_seven_bits_cost_more_than_eight(tmp_path: Path) -> None:
    source = exported(tmp_path)
    changes = [
        sum(
            layer.output_change
            for layer in one_layer_at_a_time(source, VECTORS, VECTORS, method="minmax", reduce_range=r)
        )
        for r in (False, True)
    ]
    assert changes[1] > changes[0]


def test_a_layer_that_sees_an_outlier_costs_more(tmp_path: Path) -> None:
    source = exported(tmp_path)
    calibration = (VECTORS[0].copy(),)
    calibration[0][0] *= 100
    calm, wild = (
        list(one_layer_at_a_time(source, rows, VECTORS, method="minmax", reduce_range=False))[1].output_change
        for rows in (VECTORS, calibration)
    )
    assert wild > 5 * calm


def test_what_cannot_be_quantized_is_one_sentence(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no graph")
    with pytest.raises(QuantizationError, match=r"broken.onnx to quantize with 64 calibration rows"):
        next(one_layer_at_a_time(broken, VECTORS, VECTORS, method="minmax", reduce_range=False))


class Clipped(nn.Module):
    """Outputs far below zero in one channel, which the activation cuts off."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Linear(8, 8), nn.Linear(8, 3)
        with torch.no_grad():
            self.layer.bias[0] = -1000.0

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.layer(rows)))


def test_a_layer_is_measured_with_its_activation(tmp_path: Path) -> None:
    torch.manual_seed(0)
    rows = np.random.default_rng(0).normal(size=(64, 8)).astype(np.float32)
    source = export_onnx(Clipped().eval(), (torch.from_numpy(rows[:4]),), ("rows",), tmp_path / "clipped.onnx")
    _, layer, _ = one_layer_at_a_time(source, (rows,), (rows,), method="minmax", reduce_range=False)
    assert layer.layer == "layer" and layer.output_change < 0.03
    with static_quantizer(source, (rows,), method="minmax", reduce_range=False, remedy="none") as quantizer:
        node = quantizer.layers()["layer"]
        alone = answers(quantizer.quantized(only=[node]), (rows,))
        assert len(quantizer.shipped_with(node)) == 2
        assert len(quantizer.shipped_with(quantizer.layers()["head"])) == 1
    whole = answers(source, (rows,))
    assert np.linalg.norm(alone - whole) > 5 * layer.output_change * np.linalg.norm(whole)

"""One layer at a time: which layer costs what."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from model_compression.errors import QuantizationError
from model_compression.onnx_files import export_onnx
from model_compression.quantization import one_layer_at_a_time

ROWS = (np.random.default_rng(0).normal(size=(64, 6)).astype(np.float32),)


def exported(folder: Path) -> Path:
    """Two layers."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    path = folder / "model.onnx"
    export_onnx(model, (torch.zeros(2, 6),), ("x",), path)
    return path


def test_every_layer_is_quantized_alone(tmp_path: Path) -> None:
    source = exported(tmp_path)
    whole, layers = one_layer_at_a_time(source, ROWS, ROWS, method="minmax", reduce_range=False)
    assert [layer.layer for layer in layers] == ["0", "2"]
    assert whole.shape == (64, 3)
    for layer in layers:
        change = np.linalg.norm(layer.outputs - whole) / np.linalg.norm(whole)
        assert layer.output_change == pytest.approx(float(change))
        assert 0 < layer.output_change < 0.05
    assert not np.array_equal(layers[0].outputs, layers[1].outputs)


def test_seven_bits_cost_more_than_eight(tmp_path: Path) -> None:
    source = exported(tmp_path)
    changes = [
        sum(
            layer.output_change for layer in one_layer_at_a_time(source, ROWS, ROWS, method="minmax", reduce_range=r)[1]
        )
        for r in (False, True)
    ]
    assert changes[1] > changes[0]


def test_a_layer_that_sees_an_outlier_costs_more(tmp_path: Path) -> None:
    source = exported(tmp_path)
    calibration = (ROWS[0].copy(),)
    calibration[0][0] *= 100
    calm, wild = (
        one_layer_at_a_time(source, rows, ROWS, method="minmax", reduce_range=False)[1][0].output_change
        for rows in (ROWS, calibration)
    )
    assert wild > 5 * calm


def test_what_cannot_be_quantized_is_one_sentence(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no graph")
    with pytest.raises(QuantizationError, match=r"broken.onnx to quantize with 64 calibration rows"):
        one_layer_at_a_time(broken, ROWS, ROWS, method="minmax", reduce_range=False)

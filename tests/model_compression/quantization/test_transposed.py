"""Transposed convolutions: ONNX Runtime computes them in float, so only their weights take 8 bits."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from torch import nn

from model_compression.onnx_files import export_onnx
from model_compression.quantization import quantize_after_training, train_quantized
from model_compression.quantization.static import static_quantizer
from tests.model_compression.toys import SETTINGS, kernels, run

IMAGES = np.random.default_rng(0).normal(size=(32, 3, 8, 8)).astype(np.float32)
EXAMPLE = (torch.from_numpy(IMAGES[:4]),)
GROUPS = pytest.mark.parametrize("groups", [1, 2, 8])


def decoder(groups: int, dimensions: int = 2) -> nn.Sequential:
    """A decoder whose first transposed convolution has so many groups; of 8 groups it is depthwise."""
    torch.manual_seed(0)
    plain, transposed = (getattr(nn, f"{kind}{dimensions}d") for kind in ("Conv", "ConvTranspose"))
    up = [transposed(8, 64, 4, 2, 1, groups=groups), nn.ReLU(), transposed(64, 8, 4, 2, 1), nn.ReLU()]
    return nn.Sequential(plain(3, 8, 3, 2, 1), nn.ReLU(), *up, plain(8, 4, 1)).eval()


def images(dimensions: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(16, 3, *[8] * dimensions)).astype(np.float32)


def check_small_and_close(path: Path, source: Path, rows: np.ndarray) -> None:
    """Check a file in 8 bits against the float one: bytes, and answers."""
    assert path.stat().st_size < 0.45 * source.stat().st_size
    expected = run(source, rows)
    assert np.abs(run(path, rows) - expected).max() < 0.05 * np.abs(expected).max()


def transposed_in_bytes(path: Path) -> int:
    """Constants of transposed convolutions that are stored in 8 bits."""
    bytes_of = {each.name: each for each in onnx.load(path).graph.initializer if each.data_type == TensorProto.INT8}
    return sum(bytes_of[name].dims[2:] == [4, 4] for name in bytes_of if len(bytes_of[name].dims) == 4)


@GROUPS
def test_after_training_grouped_ones_take_8_bits_too(groups: int, tmp_path: Path) -> None:
    source = export_onnx(decoder(groups), EXAMPLE, ["image"], tmp_path / "float.onnx")
    path = quantize_after_training(source, (IMAGES,), tmp_path / "q.onnx", method="minmax", reduce_range=False)
    counts = kernels(path)
    assert transposed_in_bytes(path) == counts["ConvTranspose"] == 2
    assert counts["Cast"] == counts["Mul"] == 0  # the weights are restored while the file loads
    assert counts["QLinearConv"] == 2
    check_small_and_close(path, source, IMAGES)


def train(model: nn.Module, source: Path, rows: np.ndarray) -> Path:
    """Train a little towards the float file's answers."""
    return train_quantized(
        model, (torch.from_numpy(rows[:4]),), (rows,), (rows,), run(source, rows), None,
        lambda outputs, targets: ((outputs - targets) ** 2).mean(), replace(SETTINGS, learning_rate=1e-5),
        reduce_range=False, names=["image"], path=source.with_name("qat.onnx"),
    )  # fmt: skip


@GROUPS
def test_training_sees_the_weights_that_ship(groups: int, tmp_path: Path) -> None:
    source = export_onnx(decoder(groups), EXAMPLE, ["image"], tmp_path / "float.onnx")
    path = train(decoder(groups), source, IMAGES)
    counts = kernels(path)
    assert transposed_in_bytes(path) == counts["ConvTranspose"] == 2
    assert counts["Cast"] == counts["Mul"] == 0
    check_small_and_close(path, source, IMAGES)


@pytest.mark.parametrize("dimensions", [1, 3])
def test_series_and_volumes_take_8_bits_by_both_rungs(dimensions: int, tmp_path: Path) -> None:
    rows = images(dimensions)
    source = export_onnx(
        decoder(2, dimensions), (torch.from_numpy(rows[:4]),), ["image"], tmp_path / "float.onnx"
    )  # fmt: skip
    path = quantize_after_training(source, (rows,), tmp_path / "q.onnx", method="minmax", reduce_range=False)
    check_small_and_close(path, source, rows)
    check_small_and_close(train(decoder(2, dimensions), source, rows), source, rows)


def test_what_lies_between_two_of_them_is_float(tmp_path: Path) -> None:
    source = export_onnx(decoder(1), EXAMPLE, ["image"], tmp_path / "float.onnx")
    with static_quantizer(source, (IMAGES,), method="minmax", reduce_range=False, remedy="none") as quantizer:
        kinds = [node.op_type for node in quantizer.graph.graph.node if node.name in quantizer.region(())]
        assert sorted(kinds) == ["ConvTranspose", "ConvTranspose", "Relu"]
        assert len(quantizer.layers()) == 2

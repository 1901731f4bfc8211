"""Transposed convolutions: ONNX Runtime computes them in float, so only their weights take 8 bits."""

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


def decoder(groups: int) -> nn.Sequential:
    torch.manual_seed(0)
    up = [nn.ConvTranspose2d(8, 16, 4, 2, 1, groups=groups), nn.ReLU(), nn.ConvTranspose2d(16, 8, 4, 2, 1), nn.ReLU()]
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), *up, nn.Conv2d(8, 4, 1)).eval()


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
    expected = run(source, IMAGES)
    assert np.abs(run(path, IMAGES) - expected).max() < 0.05 * np.abs(expected).max()


@GROUPS
def test_training_sees_the_weights_that_ship(groups: int, tmp_path: Path) -> None:
    path = train_quantized(
        decoder(groups), EXAMPLE, (IMAGES,), (IMAGES,), np.zeros((32, 4, 16, 16), np.float32), None,
        lambda outputs, targets: ((outputs - targets) ** 2).mean(), SETTINGS, reduce_range=False, names=["image"],
        path=tmp_path / "qat.onnx",
    )  # fmt: skip
    counts = kernels(path)
    assert transposed_in_bytes(path) == counts["ConvTranspose"] == 2
    assert counts["Cast"] == counts["Mul"] == 0
    assert run(path, IMAGES).shape == (32, 4, 16, 16)


def test_what_lies_between_two_of_them_is_float(tmp_path: Path) -> None:
    source = export_onnx(decoder(1), EXAMPLE, ["image"], tmp_path / "float.onnx")
    with static_quantizer(source, (IMAGES,), method="minmax", reduce_range=False, remedy="none") as quantizer:
        kinds = [node.op_type for node in quantizer.graph.graph.node if node.name in quantizer.region(())]
        assert sorted(kinds) == ["ConvTranspose", "ConvTranspose", "Relu"]
        assert len(quantizer.layers()) == 2

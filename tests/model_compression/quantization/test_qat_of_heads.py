"""A model of several outputs is trained on all of them side by side, and the parts of its file answer as the whole."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_compression.onnx_files import make_portable, model_tensors, optimized_operators, save_onnx, split_at_features
from model_compression.quantization import train_quantized
from model_compression.quantization.static import answers
from tests.model_compression.toys import EXAMPLE, SETTINGS, digits

TRAIN, TEST = digits("train"), digits("test")
NAMES = ("digit", "odd")
TUNING = replace(SETTINGS, epochs=6, learning_rate=5e-3)


class Digits(nn.Module):
    """One backbone; which digit it is, and whether that is odd."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm = nn.Conv2d(1, 8, 3, stride=2), nn.BatchNorm2d(8)
        self.digit, self.odd = nn.Linear(72, 10), nn.Sequential(nn.Linear(72, 8), nn.ReLU(), nn.Linear(8, 2))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = torch.relu(self.norm(self.conv(x))).flatten(1)
        return self.digit(features), self.odd(features)


def loss(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(outputs[:, :10], targets) + F.cross_entropy(outputs[:, 10:], targets % 2)


def test_heads_are_trained_together_and_split_into_files_of_integers(tmp_path: Path) -> None:
    path = train_quantized(
        Digits().eval(), EXAMPLE, (TRAIN.images[:100],), (TRAIN.images,), TRAIN.labels, None, loss, TUNING,
        reduce_range=False, names=("image",), path=tmp_path / "whole.onnx", outputs=NAMES,
    )  # fmt: skip
    assert [spec.name for spec in model_tensors(path)[1]] == list(NAMES)
    backbone, heads = split_at_features(onnx.load(path), {name: name for name in NAMES})
    save_onnx(backbone, tmp_path / "backbone.onnx")
    features = answers(make_portable(tmp_path / "backbone.onnx", tmp_path / "backbone"), (TEST.images,))
    whole = outputs(path)
    for name, right in {"digit": TEST.labels, "odd": TEST.labels % 2}.items():
        save_onnx(heads[name], tmp_path / f"{name}.onnx")
        found = answers(tmp_path / f"{name}.onnx", (features,))
        np.testing.assert_array_equal(found, whole[name])
        assert (found.argmax(axis=1) == right).mean() > 0.75
        assert "QGemm" in optimized_operators(tmp_path / f"{name}.onnx")
    assert "QLinearConv" in optimized_operators(tmp_path / "backbone.onnx")


def outputs(path: Path) -> dict[str, np.ndarray]:
    import onnxruntime as ort

    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return dict(zip(NAMES, session.run(list(NAMES), {"image": TEST.images}), strict=True))

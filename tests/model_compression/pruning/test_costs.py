"""Parameters and the estimated INT8 bytes, compared with real files."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from model_compression.intake import rebuild
from model_compression.onnx_files import export_onnx
from model_compression.pruning import int8_weight_bytes, parameters
from model_compression.quantization import quantize_after_training
from tests.model_compression.architectures import export
from tests.model_compression.toys import digits, float_file, pruned, trained


def test_parameters_counts_every_one() -> None:
    assert parameters(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))) == 3 * 4 + 4 + 4 + 4


def test_bytes_by_hand() -> None:
    convolution = nn.Sequential(nn.Conv2d(2, 4, 3, bias=False), nn.BatchNorm2d(4))
    assert int8_weight_bytes(convolution) == 2 * 4 * 9 + 4 * 12  # a scale, an int32 bias and its scale per channel
    assert int8_weight_bytes(nn.Linear(5, 3)) == 15 + 3 * 12
    assert int8_weight_bytes(nn.Embedding(10, 6)) == 60
    assert int8_weight_bytes(nn.LayerNorm(8)) == 2 * 8 * 4
    assert int8_weight_bytes(nn.ConvTranspose2d(2, 6, 3)) == 2 * 6 * 9 + 4 * (6 + 6)
    assert int8_weight_bytes(nn.ConvTranspose2d(4, 6, 3, groups=2, bias=False)) == 4 * 3 * 9 + 4 * 4
    assert int8_weight_bytes(nn.GRU(5, 8)) == 24 * 5 + 24 * 8 + 4 * 48 + 4 * 48  # matrices, their scales and biases


def test_a_smaller_snapshots_file_is_foretold_from_the_parents(tmp_path: Path) -> None:
    parent = _int8_bytes(float_file("resnet", tmp_path))
    smaller = _int8_bytes(float_file("resnet", tmp_path, smaller=True))
    graph = parent - int8_weight_bytes(trained("resnet"))
    assert 0 < graph < 0.25 * parent
    assert smaller < 0.7 * parent
    assert int8_weight_bytes(pruned("resnet")) + graph == pytest.approx(smaller, rel=0.02)


class _Recurrent(nn.Module):
    def __init__(self, kind: type[nn.LSTM | nn.GRU]) -> None:
        super().__init__()
        self.cells, self.head = kind(5, 64, num_layers=2, batch_first=True), nn.Linear(64, 3)

    def forward(self, rows: Tensor) -> Tensor:
        steps: Tensor = self.cells(rows)[0]
        return self.head(steps[:, -1])


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_recurrent_layers_count_as_they_are_stored(tmp_path: Path, kind: type[nn.LSTM | nn.GRU]) -> None:
    rows = torch.randn(4, 6, 5)
    model = rebuild(export(_Recurrent(kind).eval(), rows))
    source = export_onnx(model, (rows,), ["rows"], tmp_path / "float.onnx")
    path = tmp_path / "int8.onnx"
    quantize_after_training(source, (rows.numpy(),), path, method="minmax", reduce_range=False)
    assert int8_weight_bytes(model) == int8_weight_bytes(_Recurrent(kind))
    assert path.stat().st_size == pytest.approx(int8_weight_bytes(model) + 2500, rel=0.05)


def _int8_bytes(source: Path) -> int:
    rows = digits("train").images
    path = source.with_suffix(".int8.onnx")
    return quantize_after_training(source, (rows,), path, method="minmax", reduce_range=True).stat().st_size

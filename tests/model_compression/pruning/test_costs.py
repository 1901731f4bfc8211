"""Parameters and the estimated INT8 bytes, compared with real files."""

from pathlib import Path

import pytest
from torch import nn

from model_compression.pruning import int8_weight_bytes, parameters
from model_compression.quantization import quantize_after_training
from tests.model_compression.toys import digits, float_file, pruned, trained


def test_parameters_counts_every_one() -> None:
    assert parameters(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))) == 3 * 4 + 4 + 4 + 4


def test_bytes_by_hand() -> None:
    convolution = nn.Sequential(nn.Conv2d(2, 4, 3, bias=False), nn.BatchNorm2d(4))
    assert int8_weight_bytes(convolution) == 2 * 4 * 9 + 4 * 12  # a scale, an int32 bias and its scale per channel
    assert int8_weight_bytes(nn.Linear(5, 3)) == 15 + 3 * 12
    assert int8_weight_bytes(nn.Embedding(10, 6)) == 60
    assert int8_weight_bytes(nn.LayerNorm(8)) == 2 * 8 * 4


def test_a_smaller_snapshots_file_is_foretold_from_the_parents(tmp_path: Path) -> None:
    parent = _int8_bytes(float_file("resnet", tmp_path))
    smaller = _int8_bytes(float_file("resnet", tmp_path, smaller=True))
    graph = parent - int8_weight_bytes(trained("resnet"))
    assert 0 < graph < 0.25 * parent
    assert smaller < 0.7 * parent
    assert int8_weight_bytes(pruned("resnet")) + graph == pytest.approx(smaller, rel=0.02)


def _int8_bytes(source: Path) -> int:
    rows = digits("train").images
    path = source.with_suffix(".int8.onnx")
    return quantize_after_training(source, (rows,), path, method="minmax", reduce_range=True).stat().st_size

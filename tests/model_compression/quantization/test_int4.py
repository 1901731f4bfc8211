"""Weights in blocks of 4 bits."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from model_compression.errors import QuantizationError
from model_compression.onnx_files import export_onnx
from model_compression.onnx_files.inspection import optimized_operators
from model_compression.quantization import quantize_dynamically, quantize_weights
from tests.model_compression.encoders import rebuilt, rows
from tests.model_compression.toys import is_integer, run

ROWS = tuple(tensor.numpy() for tensor in rows(40))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_onnx(rebuilt(), rows(), ("tokens", "mask"), tmp_path_factory.mktemp("int4") / "float.onnx")


def test_a_quarter_of_the_weights_answers_alike(source: Path, tmp_path: Path) -> None:
    path = quantize_weights(source, tmp_path / "int4.onnx", block_size=16)
    assert path.stat().st_size < 0.4 * source.stat().st_size
    expected = run(source, *ROWS)
    assert 0 < abs(run(path, *ROWS) - expected).max() < 0.25 * abs(expected).max()
    counts = optimized_operators(path)
    assert counts["MatMulNBits"] >= 12
    assert counts["GatherBlockQuantized"] >= 1


def test_a_table_of_4_bits_goes_with_dynamic_products(source: Path, tmp_path: Path) -> None:
    plain = quantize_dynamically(source, tmp_path / "int8.onnx", reduce_range=False)
    path = quantize_dynamically(source, tmp_path / "tables.onnx", reduce_range=False, table_bits=4)
    assert path.stat().st_size < plain.stat().st_size
    expected = run(source, *ROWS)
    assert abs(run(path, *ROWS) - expected).max() < 0.25 * abs(expected).max()
    counts = optimized_operators(path)
    assert counts["GatherBlockQuantized"] >= 1
    assert sum(count for name, count in counts.items() if is_integer(name) and "Gather" not in name) >= 12


def test_linears_on_plain_rows_are_packed_too(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, 32, bias=False))
    inputs = np.random.default_rng(0).normal(size=(10, 64)).astype(np.float32)
    source = export_onnx(model, (torch.zeros(2, 64),), ("x",), tmp_path / "float.onnx")
    path = quantize_weights(source, tmp_path / "int4.onnx", block_size=32)
    assert path.stat().st_size < 0.3 * source.stat().st_size
    expected = run(source, inputs)
    assert 0 < abs(run(path, inputs) - expected).max() < 0.25 * abs(expected).max()
    assert optimized_operators(path)["MatMulNBits"] == 2


def test_a_model_without_matrices_and_a_file_that_is_none(tmp_path: Path) -> None:
    source = export_onnx(nn.Softmax(1), (torch.ones(2, 3),), ("rows",), tmp_path / "softmax.onnx")
    with pytest.raises(QuantizationError, match=r"softmax\.onnx .* found none with constant weights; drop `int4`"):
        quantize_weights(source, tmp_path / "int4.onnx", block_size=32)
    source.write_bytes(b"no model")
    with pytest.raises(QuantizationError, match=r"weights of softmax\.onnx to pack into 4 bits, got .*; drop `int4`"):
        quantize_weights(source, tmp_path / "int4.onnx", block_size=32)
    assert not (tmp_path / "int4.onnx").exists()

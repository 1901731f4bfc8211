"""Dynamic quantization of a small text encoder."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from model_compression.errors import QuantizationError
from model_compression.onnx_files import export_onnx
from model_compression.quantization import quantize_dynamically
from tests.model_compression.encoders import rebuilt, rows
from tests.model_compression.toys import int8_weights, kernels, run

ROWS = tuple(tensor.numpy() for tensor in rows(40))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_onnx(rebuilt(), rows(), ("tokens", "mask"), tmp_path_factory.mktemp("dynamic") / "float.onnx")


@pytest.mark.parametrize("reduce_range", [False, True])
def test_a_smaller_file_answers_nearly_as_well(source: Path, tmp_path: Path, reduce_range: bool) -> None:
    path = quantize_dynamically(source, tmp_path / "int8.onnx", reduce_range=reduce_range)
    assert path.stat().st_size < 0.5 * source.stat().st_size
    expected = run(source, *ROWS)
    assert abs(run(path, *ROWS) - expected).max() < 0.1 * abs(expected).max()
    assert run(path, *(array[:1] for array in ROWS)).shape == (1, 8)


def test_the_linears_run_in_integers_with_a_range_for_each_call(source: Path, tmp_path: Path) -> None:
    counts = kernels(quantize_dynamically(source, tmp_path / "int8.onnx", reduce_range=False))
    assert counts["DynamicQuantizeMatMul"] + counts["MatMulIntegerToFloat"] + counts["MatMulInteger"] >= 12


def test_the_reduced_range_keeps_to_seven_bits(source: Path, tmp_path: Path) -> None:
    largest = [
        max(int(np.abs(weight.astype(int)).max()) for weight in int8_weights(path) if weight.shape[0] == 32)
        for path in (
            quantize_dynamically(source, tmp_path / f"{reduced}.onnx", reduce_range=reduced)
            for reduced in (False, True)
        )
    ]
    assert largest[0] > 64 >= largest[1]


def test_a_model_without_anything_to_quantize(tmp_path: Path) -> None:
    example = (torch.ones(2, 3),)
    source = export_onnx(nn.Softmax(1), example, ("rows",), tmp_path / "softmax.onnx")
    with pytest.raises(QuantizationError, match=r"softmax\.onnx .* found none with constant weights; drop `dynamic`"):
        quantize_dynamically(source, tmp_path / "int8.onnx", reduce_range=False)
    assert not (tmp_path / "int8.onnx").exists()


def test_a_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(QuantizationError, match=r"expected broken\.onnx to quantize dynamically, got .*; drop"):
        quantize_dynamically(tmp_path / "broken.onnx", tmp_path / "int8.onnx", reduce_range=False)
    assert not (tmp_path / "int8.onnx").exists()


def test_it_loads_as_onnx(source: Path, tmp_path: Path) -> None:
    onnx.checker.check_model(onnx.load(quantize_dynamically(source, tmp_path / "int8.onnx", reduce_range=False)))

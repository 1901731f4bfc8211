"""Mixed precision leaves out what costs the accuracy, and no more."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from model_compression.errors import QuantizationError
from model_compression.onnx_files import optimized_operators
from model_compression.quantization.mixed import MixedFile, quantize_mixed
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
    settings: dict = {"method": "minmax", "reduce_range": False, "at_most": 2, "tolerance": 0.02} | changes
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

"""Half precision."""

from pathlib import Path

import onnx
import pytest
from onnx import numpy_helper

from model_compression.errors import QuantizationError
from model_compression.quantization import convert_to_half
from tests.model_compression.toys import accuracy, digits, float_file, run

ROWS = digits("test").images


def test_half_of_the_file_answers_the_same(tmp_path: Path) -> None:
    source = float_file("resnet", tmp_path)
    path = convert_to_half(source, tmp_path / "half.onnx")
    assert path.stat().st_size < 0.62 * source.stat().st_size
    expected, got = run(source, ROWS), run(path, ROWS)
    assert got.dtype == expected.dtype
    assert 0 < abs(got - expected).max() < 0.01 * abs(expected).max()
    assert accuracy(got) == pytest.approx(accuracy(expected), abs=0.01)


def test_weights_that_half_precision_cannot_hold(tmp_path: Path) -> None:
    source = float_file("cnn", tmp_path)
    model = onnx.load(source)
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == "head.weight")
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * 1e6, weight.name))
    onnx.save_model(model, source)
    with pytest.raises(QuantizationError, match=r"within 65,504 .* in `head\.weight`; drop `fp16`"):
        convert_to_half(source, tmp_path / "half.onnx")
    assert not (tmp_path / "half.onnx").exists()


def test_a_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(QuantizationError, match=r"broken\.onnx to convert to half precision, got .*; drop `fp16`"):
        convert_to_half(tmp_path / "broken.onnx", tmp_path / "half.onnx")

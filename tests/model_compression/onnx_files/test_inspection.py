"""The histogram of the operators that ONNX Runtime runs."""

from pathlib import Path

from model_compression.onnx_files.inspection import optimized_operators
from model_compression.quantization import quantize_after_training
from tests.model_compression.toys import digits, float_file, is_integer


def test_the_histogram_is_of_the_optimized_graph(tmp_path: Path) -> None:
    source = float_file("resnet", tmp_path)
    assert not any(map(is_integer, optimized_operators(source)))
    rows = (digits("train").images[:100],)
    path = quantize_after_training(source, rows, tmp_path / "int8.onnx", method="minmax", reduce_range=False)
    counts = optimized_operators(path)
    assert {name: counts[name] for name in ("QLinearConv", "QLinearAdd", "QGemm")} == {
        "QLinearConv": 6,
        "QLinearAdd": 2,
        "QGemm": 1,
    }
    assert next(iter(counts)) == "QLinearConv"  # the most frequent first
    assert sorted(path.parent.glob("*optimized*")) == []

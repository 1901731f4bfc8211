"""The histogram of the operators that ONNX Runtime runs."""

from pathlib import Path

from edge_runtime.settings import TensorSpec
from model_compression.onnx_files.inspection import graph_tensors, optimized_operators
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


def test_the_tensors_are_those_that_the_file_declares(tmp_path: Path) -> None:
    inputs, outputs = graph_tensors(float_file("resnet", tmp_path))
    assert [(each.dtype, each.shape) for each in inputs] == [("float32", (None, 1, 8, 8))]
    assert [(each.dtype, each.shape) for each in outputs] == [("float32", (None, 10))]
    assert all(isinstance(each, TensorSpec) for each in (*inputs, *outputs))

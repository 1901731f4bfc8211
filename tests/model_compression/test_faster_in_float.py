"""Layers that stay in float where that is faster; the clock is replaced but for one test."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from onnx import ModelProto

from model_compression.errors import QuantizationError
from model_compression.quantization import faster_in_float, quantize_after_training
from model_compression.quantization import faster_in_float as measuring
from model_compression.quantization.static import static_quantizer
from tests.model_compression.toys import accuracy, digits, float_file, kernels, run

CALIBRATION = (digits("train").images[:100],)
Seconds = Callable[[set[str]], float]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return float_file("resnet", tmp_path)


@pytest.fixture
def layers(source: Path) -> list[str]:
    with static_quantizer(source, CALIBRATION, method="minmax", reduce_range=False, remedy="none") as opened:
        return list(opened.layers())


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[Seconds], list[set[str]]]:
    """Let a function of the layers in float say how long a graph takes; returns what was asked."""

    def replace(seconds: Seconds) -> list[set[str]]:
        asked: list[set[str]] = []

        def measure(graphs: Sequence[ModelProto], row: object) -> list[float]:
            found = [_in_float(graph) for graph in graphs]
            asked.extend(found)
            return [seconds(layers) for layers in found]

        monkeypatch.setattr(measuring, "_seconds", measure)
        return asked

    return replace


def _in_float(graph: ModelProto) -> set[str]:
    """Layers whose weights are still float."""
    weights = {tensor.name for tensor in graph.graph.initializer}
    used = {name for node in graph.graph.node for name in node.input[1:2] if node.op_type in ("Conv", "Gemm")}
    return {name.removesuffix(".weight") for name in used & weights}


def test_what_saves_time_stays_in_float(
    source: Path, layers: list[str], clock: Callable[[Seconds], list[set[str]]]
) -> None:
    first, second, *_ = layers
    asked = clock(lambda kept: 1 - 0.1 * (first in kept) - 0.2 * (second in kept))
    assert faster_in_float(source, CALIBRATION) == (second, first)
    assert {first, second} in asked


def test_two_that_do_not_add_up_are_not_both_taken(
    source: Path, layers: list[str], clock: Callable[[Seconds], list[set[str]]]
) -> None:
    first, second, *_ = layers
    clock(lambda kept: 0.8 if kept & {first, second} else 1.0)
    assert faster_in_float(source, CALIBRATION) == (first,)


def test_noise_is_no_gain(source: Path, layers: list[str], clock: Callable[[Seconds], list[set[str]]]) -> None:
    clock(lambda kept: 0.98 if kept else 1.0)
    assert faster_in_float(source, CALIBRATION) == ()


def test_a_file_has_them_in_float(source: Path, layers: list[str], tmp_path: Path) -> None:
    path = tmp_path / "int8.onnx"
    quantize_after_training(source, CALIBRATION, path, method="minmax", reduce_range=False, in_float=layers[:1])
    assert kernels(path)["QLinearConv"] == 5
    rows = digits("test").images
    assert accuracy(run(path, rows)) > accuracy(run(source, rows)) - 0.02


def test_the_real_clock_names_layers(source: Path, layers: list[str]) -> None:
    assert set(faster_in_float(source, CALIBRATION)) <= set(layers)


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no graph")
    with pytest.raises(QuantizationError, match="drop `float_where_faster`"):
        faster_in_float(tmp_path / "broken.onnx", CALIBRATION)

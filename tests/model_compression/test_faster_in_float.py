"""Layers that stay in float where that is faster; the clock is replaced but for one test."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from onnx import ModelProto

from model_compression import faster_in_float as measuring
from model_compression.faster_in_float import faster_in_float
from model_compression.ptq import quantize_after_training
from model_compression.static_quantizer import StaticQuantizer, static_quantizer
from tests.model_compression.toys import accuracy, digits, float_file, kernels, run

CALIBRATION = (digits("train").images[:100],)
Seconds = Callable[[set[str]], float]


@pytest.fixture
def quantizer(tmp_path: Path) -> Iterator[StaticQuantizer]:
    source = float_file("resnet", tmp_path)
    with static_quantizer(source, CALIBRATION, method="minmax", reduce_range=False, remedy="none") as opened:
        yield opened


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


def test_what_saves_time_stays_in_float(quantizer: StaticQuantizer, clock: Callable[[Seconds], list[set[str]]]) -> None:
    first, second, *_ = quantizer.layers()
    asked = clock(lambda layers: 1 - 0.1 * (first in layers) - 0.2 * (second in layers))
    assert faster_in_float(quantizer, CALIBRATION) == (second, first)
    assert {first, second} in asked


def test_two_that_do_not_add_up_are_not_both_taken(
    quantizer: StaticQuantizer, clock: Callable[[Seconds], list[set[str]]]
) -> None:
    first, second, *_ = quantizer.layers()
    clock(lambda layers: 0.8 if layers & {first, second} else 1.0)
    assert faster_in_float(quantizer, CALIBRATION) == (first,)


def test_noise_is_no_gain(quantizer: StaticQuantizer, clock: Callable[[Seconds], list[set[str]]]) -> None:
    clock(lambda layers: 0.98 if layers else 1.0)
    assert faster_in_float(quantizer, CALIBRATION) == ()


def test_the_file_has_them_in_float(
    tmp_path: Path, quantizer: StaticQuantizer, clock: Callable[[Seconds], list[set[str]]]
) -> None:
    first, *_ = quantizer.layers()
    clock(lambda layers: 0.5 if first in layers else 1.0)
    source, path = float_file("resnet", tmp_path), tmp_path / "int8.onnx"
    settings = {"method": "minmax", "reduce_range": False}
    quantize_after_training(source, CALIBRATION, path, **settings, float_where_faster=True)  # type: ignore[arg-type]
    assert kernels(path)["QLinearConv"] == 5
    rows = digits("test").images
    assert accuracy(run(path, rows)) > accuracy(run(source, rows)) - 0.02


def test_the_real_clock_names_layers(quantizer: StaticQuantizer) -> None:
    assert set(faster_in_float(quantizer, CALIBRATION)) <= set(quantizer.layers())

"""Islands in float: runs of layers that are faster there, and the steps between them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from onnx import ModelProto
from torch import nn

from model_compression.errors import QuantizationError
from model_compression.onnx_files import export_onnx
from model_compression.quantization import faster_in_float, islands, quantize_after_training
from model_compression.quantization.float_regions import GraphStep, region
from model_compression.quantization.static import static_quantizer
from tests.model_compression.toys import accuracy, digits, float_file, kernels, run

HUNDRED = (digits("train").images[:100],)
Seconds = Callable[[set[str]], float]
Clock = Callable[[Seconds], list[set[str]]]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return float_file("resnet", tmp_path)


@pytest.fixture
def layers(source: Path) -> list[str]:
    with static_quantizer(source, HUNDRED, method="minmax", reduce_range=False, remedy="none") as opened:
        return list(opened.layers())


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Let a function of the layers in float say how long a graph takes; returns what was asked."""

    def replace(seconds: Seconds) -> list[set[str]]:
        asked: list[set[str]] = []

        def measure(graphs: Sequence[ModelProto], _row: object) -> list[float]:
            found = [_in_float(graph) for graph in graphs]
            asked.extend(found)
            return [seconds(layers) for layers in found]

        monkeypatch.setattr(islands, "_seconds", measure)
        return asked

    return replace


def _in_float(graph: ModelProto) -> set[str]:
    """Layers whose weights are still float."""
    weights = {tensor.name for tensor in graph.graph.initializer}
    used = {name for node in graph.graph.node for name in node.input[1:2] if node.op_type in ("Conv", "Gemm")}
    return {name.removesuffix(".weight") for name in used & weights}


def test_what_saves_time_stays_in_float(source: Path, layers: list[str], clock: Clock) -> None:
    first, second, *_ = layers
    asked = clock(lambda kept: 1 - 0.1 * (first in kept) - 0.2 * (second in kept))
    assert faster_in_float(source, HUNDRED) == (first, second)
    assert set(layers) in asked


def test_a_run_that_pays_only_together_is_found(source: Path, layers: list[str], clock: Clock) -> None:
    run = set(layers[1:3])
    clock(lambda kept: 0.7 if run <= kept else 1 + 0.1 * len(run & kept))
    assert set(faster_in_float(source, HUNDRED)) == run


def test_a_run_whose_layers_cost_time_elsewhere_is_no_island(source: Path, layers: list[str], clock: Clock) -> None:
    clock(lambda kept: 1 + 0.1 * len(kept) - 0.9 * (kept == set(layers)))
    assert set(faster_in_float(source, HUNDRED)) == set(layers)


def test_layers_that_gain_nothing_go_back_to_integers(source: Path, layers: list[str], clock: Clock) -> None:
    last = layers[-1]
    clock(lambda kept: 0.8 if last in kept else 1.0)
    assert faster_in_float(source, HUNDRED) == (last,)


def test_noise_is_no_gain(source: Path, clock: Clock) -> None:
    clock(lambda kept: 0.98 if kept else 1.0)
    assert faster_in_float(source, HUNDRED) == ()


def test_gains_that_are_not_there_at_the_end_are_given_up(
    source: Path, layers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def measure(graphs: Sequence[ModelProto], _row: object) -> list[float]:
        asked.append(len(graphs))
        return [1.0, 0.5] if len(asked) == 1 else [1.0, 1.1]

    monkeypatch.setattr(islands, "_seconds", measure)
    assert faster_in_float(source, HUNDRED) == ()
    assert len(asked) == len(layers) * 2  # every run once, and the end


def test_a_file_has_them_in_float(source: Path, layers: list[str], tmp_path: Path) -> None:
    path = tmp_path / "int8.onnx"
    quantize_after_training(source, HUNDRED, path, method="minmax", reduce_range=False, in_float=layers[:1])
    assert kernels(path)["QLinearConv"] == 5
    rows = digits("test").images
    assert accuracy(run(path, rows)) > accuracy(run(source, rows)) - 0.02


def test_what_lies_between_layers_in_float_is_float_too(source: Path, layers: list[str], tmp_path: Path) -> None:
    path = tmp_path / "int8.onnx"
    quantize_after_training(source, HUNDRED, path, method="minmax", reduce_range=False, in_float=layers[:-1])
    counts = kernels(path)
    assert counts["QLinearConv"] == 0 and counts["QGemm"] == 1
    assert counts["QLinearAdd"] == 1  # of several: the head, in integers, reads the last sum


class Hard(nn.Module):
    """Two pairs of convolutions, each pair with a hard activation between that has no kernel in integers."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList([nn.Conv2d(3 if place == 0 else 8, 8, 3) for place in range(4)])
        self.activation = activation

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        first, second, third, fourth = self.convolutions
        middle = torch.relu(second(self.activation(first(image))))
        result: torch.Tensor = fourth(self.activation(third(middle)))
        return result


@pytest.mark.parametrize("activation", [nn.Hardswish(), nn.Hardsigmoid(), nn.SiLU()])
@pytest.mark.parametrize("pair", [{0, 1}, {2, 3}, set[int]()])
def test_what_has_no_kernel_in_integers_is_an_island_where_that_is_measured_to_be_faster(
    activation: nn.Module, pair: set[int], clock: Clock, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    rows = (torch.randn(16, 3, 12, 12).numpy(),)
    source = export_onnx(Hard(activation).eval(), (torch.zeros(2, 3, 12, 12),), ["image"], tmp_path / "float.onnx")
    faster = {f"convolutions.{place}" for place in pair}
    clock(lambda kept: 1 + 0.1 * len(kept) - (0.5 if faster and faster <= kept else 0))
    found = faster_in_float(source, rows)
    assert set(found) == faster
    path = quantize_after_training(
        source, rows, tmp_path / "q.onnx", method="minmax", reduce_range=False, in_float=found
    )  # fmt: skip
    assert kernels(path)["QLinearConv"] == 4 - len(pair)
    expected = run(source, rows[0])
    assert abs(run(path, rows[0]) - expected).max() < 0.1 * abs(expected).max()


def test_a_file_of_nothing_but_float_is_refused(source: Path, layers: list[str], tmp_path: Path) -> None:
    with pytest.raises(QuantizationError, match="every layer is faster in float: add `float` to the ladder"):
        quantize_after_training(
            source, HUNDRED, tmp_path / "int8.onnx", method="minmax", reduce_range=False, in_float=layers
        )


def test_the_real_clock_names_layers(source: Path, layers: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(islands, "TURN_S", 0.001)
    assert set(faster_in_float(source, HUNDRED)) <= set(layers)


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no graph")
    with pytest.raises(QuantizationError, match="drop `float_where_faster`"):
        faster_in_float(tmp_path / "broken.onnx", HUNDRED)


RESIDUAL = [
    GraphStep("stem", (), True), GraphStep("relu", ("stem",), False),
    GraphStep("one", ("relu",), True), GraphStep("clip", ("one",), False), GraphStep("two", ("clip",), True),
    GraphStep("add", ("two", "relu"), False), GraphStep("head", ("add",), True), GraphStep("softmax", ("head",), False),
]  # fmt: skip


@pytest.mark.parametrize(
    ("layers", "between"),
    [
        ((), set()),
        (("one",), set()),
        (("one", "two"), {"clip"}),
        (("stem", "one", "two"), {"clip"}),  # what the add makes goes to a layer of integers
        (("one", "two", "head"), {"clip", "softmax"}),  # what the add reads comes from one
        (("stem", "one", "two", "head"), {"relu", "clip", "add", "softmax"}),
    ],
)
def test_steps_stay_with_the_layers_around_them(layers: tuple[str, ...], between: set[str]) -> None:
    assert region(RESIDUAL, layers) == {*layers, *between}


def test_what_no_layer_surrounds_is_left_as_it_was() -> None:
    assert region([GraphStep("scale", (), False), GraphStep("shift", ("scale",), False)], ()) == set()


def test_the_bounds_of_runs_are_all_there_and_each_once() -> None:
    assert list(islands._runs(3)) == [(0, 3), (0, 1), (1, 3), (1, 2), (2, 3)]
    assert len(list(islands._runs(1000))) == 2 ** (islands.DEPTH + 1) - 1

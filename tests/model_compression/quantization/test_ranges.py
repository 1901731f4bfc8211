"""Ranges observed on calibration rows, and thresholds that cut off outliers."""

import weakref
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from model_compression.errors import QuantizationError
from model_compression.quantization.ranges import (
    BATCH_ROWS,
    METHODS,
    entropy_threshold,
    observe_ranges,
    percentile_bounds,
)

ALL = pytest.mark.parametrize("method", METHODS)


def graph(*nodes: onnx.NodeProto) -> onnx.ModelProto:
    """A graph from input `x` to output `y`, both of shape (rows, 4)."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 4]) for name in "xy"]
    body = helper.make_graph(nodes, "g", values[:1], values[1:])
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


TWICE = graph(helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Neg", ["r"], ["y"]))


def observe(source: onnx.ModelProto, rows: np.ndarray, method: str) -> dict[str, tuple[float, float]]:
    return observe_ranges(source, (rows,), method).cut


def rows(count: int = 1000) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 4)).astype(np.float32)


def test_minmax_sees_every_row_of_every_tensor() -> None:
    data = rows()
    data[5, 1], data[-1, 2] = -9, 7
    assert observe(TWICE, data, "minmax") == {"x": (-9, 7), "r": (0, 7), "y": (-7, 0)}


@ALL
def test_a_sequence_of_tensors_has_no_range_and_what_is_taken_from_it_has_one(method: str) -> None:
    parts = helper.make_node("SplitToSequence", ["x"], ["parts"], axis=1, keepdims=1)
    source = graph(parts, helper.make_node("ConcatFromSequence", ["parts"], ["y"], axis=1))
    assert observe(source, rows(), method).keys() == {"x", "y"}


@pytest.mark.parametrize("method", ["percentile", "entropy"])
def test_an_outlier_is_cut_off_by_the_methods_that_are_there_for_it_also_in_the_last_batch(method: str) -> None:
    data = rows(4000)
    data[-1, 0] = 40
    bounds = observe(TWICE, data, method)
    assert 2 < bounds["x"][1] < 12
    assert -6 < bounds["x"][0] < -2
    assert bounds["r"][0] == 0
    assert 2 < bounds["r"][1] < 12
    assert bounds["y"] == (-40, 0)  # the output itself stays whole


@ALL
def test_rows_that_fill_no_whole_batch_count(method: str) -> None:
    data = rows(BATCH_ROWS + 1)
    data[-1] = [-30, -30, 30, 30]
    low, high = observe(TWICE, data, method)["y"]
    assert (low, high) == (-30, 0)


@ALL
def test_one_batch_is_run_at_a_time(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    alive: list[int] = []
    run = ort.InferenceSession.run

    def spy(self: ort.InferenceSession, names: Any, feed: dict[str, np.ndarray]) -> Any:
        outputs = run(self, names, feed)
        for output in outputs:
            weakref.finalize(output, alive.pop)
            alive.append(len(output))
        assert len(alive) <= 2 * len(outputs)
        return outputs

    monkeypatch.setattr(ort.InferenceSession, "run", spy)
    observe(TWICE, rows(10 * BATCH_ROWS), method)
    assert alive == []


@ALL
def test_a_tensor_that_never_changes_has_a_range(method: str) -> None:
    assert observe(TWICE, np.full((4, 4), 0, np.float32), method)["r"] == (0, 0)


def test_the_model_stays_as_it_is() -> None:
    before = TWICE.SerializeToString()
    observe(TWICE, rows(), "percentile")
    assert TWICE.SerializeToString() == before


@ALL
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_rows_that_are_not_finite_are_counted_and_refused(method: str, value: float) -> None:
    data = rows(50)
    data[[3, 40], 1] = value
    with pytest.raises(QuantizationError, match="got 2 of 50 with NaN or infinity in input `x`"):
        observe(TWICE, data, method)


def test_an_answer_that_overflows_is_named() -> None:
    towering = graph(helper.make_node("Exp", ["x"], ["e"]), helper.make_node("Exp", ["e"], ["y"]))
    with pytest.raises(QuantizationError, match=r"finite answers to the calibration rows.*`y`"):
        observe(towering, np.full((4, 4), 60, np.float32), "minmax")


def test_no_rows_are_refused() -> None:
    with pytest.raises(QuantizationError, match="expected calibration rows in input `x`, got none"):
        observe(TWICE, rows(0), "minmax")


def test_too_many_inputs_are_refused() -> None:
    with pytest.raises(QuantizationError, match="for the inputs x, got 2 arrays"):
        observe_ranges(TWICE, (rows(4), rows(4)), "minmax")


def test_an_unknown_method_is_refused_with_the_known_ones() -> None:
    with pytest.raises(QuantizationError, match="minmax, percentile, entropy, got `mean`"):
        observe(TWICE, rows(4), "mean")


def histogram(values: np.ndarray, bins: int = 2048) -> tuple[np.ndarray, np.ndarray]:
    return np.histogram(values, bins)


def magnitudes(values: np.ndarray, bins: int = 2048) -> tuple[np.ndarray, np.ndarray]:
    return np.histogram(np.abs(values), bins, (0, np.abs(values).max()))


class TestPercentile:
    def test_by_hand(self) -> None:
        counts, edges = np.array([1, 3, 92, 3, 1]), np.arange(6)
        assert percentile_bounds(counts, edges, 100) == (0, 5)
        assert percentile_bounds(counts, edges, 98) == (1, 4)
        assert percentile_bounds(counts, edges, 95) == (2, 3)

    def test_both_sides_of_a_normal_distribution_lose_alike(self) -> None:
        values = np.random.default_rng(0).normal(size=200_000)
        low, high = percentile_bounds(*histogram(values), 99.5)
        assert low == pytest.approx(-2.576, abs=0.03)
        assert high == pytest.approx(2.576, abs=0.03)

    def test_everything_stays_where_nothing_is_outside(self) -> None:
        values = np.linspace(-1, 1, 1000)
        low, high = percentile_bounds(*histogram(values, 16), 99.99)
        assert (low, high) == (-1, 1)


class TestEntropy:
    def test_a_flat_distribution_is_not_cut(self) -> None:
        values = np.random.default_rng(0).uniform(0, 1, size=500_000)
        assert entropy_threshold(*magnitudes(values)) > 0.95

    def test_a_lone_outlier_is(self) -> None:
        values = np.append(np.random.default_rng(0).normal(size=500_000), 50.0)
        assert 2.5 < entropy_threshold(*magnitudes(values)) < 8

    def test_it_scales_with_the_values(self) -> None:
        values = np.append(np.random.default_rng(0).normal(size=50_000), 50.0)
        once, ten_times = entropy_threshold(*magnitudes(values)), entropy_threshold(*magnitudes(10 * values))
        assert ten_times == pytest.approx(10 * once, rel=1e-3)

    def test_values_in_one_place_are_kept(self) -> None:
        assert entropy_threshold(*magnitudes(np.full(100, 3.0))) == pytest.approx(3)

    def test_no_more_bins_than_levels_lose_nothing(self) -> None:
        assert entropy_threshold(np.ones(100), np.arange(101)) == 100


@ALL
def test_a_tensor_of_almost_one_value_keeps_its_range(method: str) -> None:
    far = graph(helper.make_node("Sign", ["x"], ["s"]), helper.make_node("Mul", ["s", "s"], ["y"]))
    assert observe(far, np.full((40, 4), 1e9, np.float32), method)["x"] == (1e9, 1e9)
    near = np.full((40, 4), 1e9, np.float32)
    near[3] = np.nextafter(np.float32(1e9), np.float32(2e9))
    low, high = observe(far, near, method)["x"]
    assert 0 <= low <= 1e9 <= high < 1.001e9


@ALL
def test_masked_values_inside_the_graph_are_seen_and_have_no_range(method: str) -> None:
    masks = graph(helper.make_node("Log", ["x"], ["l"]), helper.make_node("Exp", ["l"], ["y"]))
    data = np.abs(rows())
    data[7, 2] = 0
    ranges = observe_ranges(masks, (data,), method)
    assert ranges.seen["l"][0] == -np.inf
    assert "l" not in ranges.cut and {"x", "y"} <= ranges.cut.keys()

"""Masks in quantization: encoders that mask in many ways keep their answers, by every rung that fixes ranges."""

import functools
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch.nn.functional as F

from model_compression.onnx_files import export_onnx
from model_compression.quantization import (
    answers,
    convert_to_half,
    quantize_after_training,
    quantize_dynamically,
    quantize_mixed,
    train_quantized,
)
from model_compression.quantization.masks import Operation, operations_in_float
from tests.model_compression.masking import ALL, CALIBRATION, EXAMPLE, TEST, TRAIN, finder
from tests.model_compression.toys import SETTINGS

KEPT = 0.99
NAMES = ("tokens", "mask")
CUTTING = ("add -1e9", "where -1e9", "fused, -inf", "maximum")
CASES = [("minmax", way) for way in ALL] + [(method, way) for method in ("percentile", "entropy") for way in CUTTING]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("masks")


@functools.cache
def float_file(way: str, folder: Path) -> tuple[Path, np.ndarray]:
    """The float file of an encoder, and its answers; both are right nearly always, so that the mask works."""
    path = export_onnx(finder(way), EXAMPLE, NAMES, folder / f"{ALL.index(way)}.onnx")
    found = answers(path, TEST[0]).argmax(1)
    assert (found == TEST[1]).mean() > 0.95
    return path, found


def kept(path: Path, expected: np.ndarray) -> float:
    return float((answers(path, TEST[0]).argmax(1) == expected).mean())


@pytest.mark.parametrize(("method", "way"), CASES)
def test_static_quantization_keeps_the_answers(method: str, way: str, folder: Path, tmp_path: Path) -> None:
    source, expected = float_file(way, folder)
    path = quantize_after_training(source, CALIBRATION, tmp_path / "q.onnx", method=method, reduce_range=False)
    assert kept(path, expected) >= KEPT
    made = Counter(node.op_type for node in onnx.load(path).graph.node)
    assert made["QuantizeLinear"] >= 10  # the layers are quantized all the same


@pytest.mark.parametrize("way", ["add -1e4", "constant -inf"])
def test_mixed_dynamic_and_half_precision_keep_them_too(way: str, folder: Path, tmp_path: Path) -> None:
    source, expected = float_file(way, folder)
    quantize_mixed(
        source, CALIBRATION, TEST[0], lambda outputs: float((outputs.argmax(1) == expected).mean()),
        tmp_path / "mixed.onnx", method="minmax", reduce_range=False, at_most=1, tolerance=0.0,
    )  # fmt: skip
    quantize_dynamically(source, tmp_path / "dynamic.onnx", reduce_range=False)
    convert_to_half(source, tmp_path / "half.onnx")
    assert {name: kept(tmp_path / f"{name}.onnx", expected) >= KEPT for name in ("mixed", "dynamic", "half")} == {
        "mixed": True, "dynamic": True, "half": True,
    }  # fmt: skip


@pytest.mark.parametrize("way", ["add the lowest", "fill -inf", "fused, -1e9", "maximum"])
def test_training_with_rounding_keeps_them(way: str, folder: Path, tmp_path: Path) -> None:
    _, expected = float_file(way, folder)
    path = train_quantized(
        finder(way), EXAMPLE, CALIBRATION, TRAIN[0], TRAIN[1], None, F.cross_entropy,
        replace(SETTINGS, epochs=1, learning_rate=1e-5, batch_size=100),
        reduce_range=False, names=NAMES, path=tmp_path / "qat.onnx",
    )  # fmt: skip
    assert kept(path, expected) >= KEPT
    assert Counter(node.op_type for node in onnx.load(path).graph.node)["QuantizeLinear"] >= 8


class TestOperations:
    def in_float(self, *operations: Operation, **ranges: tuple[float, float]) -> set[str]:
        return operations_in_float(operations, ranges)

    def test_a_large_constant_is_followed_as_long_as_it_is_seen(self) -> None:
        fill = Operation("fill", ("x",), ("filled",), constant=1e9)
        move = Operation("move", ("filled",), ("moved",))
        most = Operation("most", ("moved",), ("y",))
        after = Operation("after", ("y",), ("z",))
        spans = {"x": (-3.0, 3.0), "filled": (-1e9, 3.0), "moved": (-1e9, 3.0), "y": (-1.0, 3.0), "z": (0.0, 3.0)}
        assert self.in_float(fill, move, most, after, **spans) == {"fill", "move", "most"}

    def test_a_large_constant_that_no_value_reaches_changes_nothing(self) -> None:
        clip = Operation("clip", ("x",), ("y",), constant=1e9)
        assert self.in_float(clip, x=(-3, 3), y=(-3, 3)) == set()

    def test_large_weights_are_no_masks(self) -> None:
        layer = Operation("layer", ("x",), ("y",), weighs=True)
        assert self.in_float(layer, x=(0, 5_000), y=(-9_000, 5_000)) == set()

    def test_what_a_softmax_cannot_tell_apart_is_followed_back_to_the_layer(self) -> None:
        product = Operation("product", ("q", "k"), ("scores",), weighs=True)
        add = Operation("add", ("scores", "mask"), ("sum",))
        softmax = Operation("softmax", ("sum",), ("shares",), compared=("sum",))
        spans = {"scores": (-4.0, 4.0), "mask": (-30.0, 0.0), "sum": (-34.0, 4.0), "shares": (0.0, 1.0)}
        assert self.in_float(product, add, softmax, **spans) == {"add", "softmax"}
        spans["mask"], spans["sum"] = (-3.0, 0.0), (-7.0, 4.0)
        assert self.in_float(product, add, softmax, **spans) == set()

    def test_infinite_values_leave_even_a_layer_in_float(self) -> None:
        layer = Operation("layer", ("x",), ("y",), weighs=True)
        assert self.in_float(layer, x=(-math.inf, 1), y=(-1, 1)) == {"layer"}
        assert self.in_float(layer, x=(math.nan, 1), y=(-1, 1)) == {"layer"}

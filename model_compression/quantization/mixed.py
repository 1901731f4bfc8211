"""Mixed precision: static INT8 but for the few layers that cost the accuracy."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from model_compression.onnx_files import compact, save_onnx, strip
from model_compression.quantization.sensitivity import layer_answers
from model_compression.quantization.static import StaticQuantizer, answers, check_quantized, static_quantizer
from model_compression.training import Arrays

REMEDY = "check that the calibration split fits the model, or drop `mixed` from the ladder"
Score = Callable[[np.ndarray], float]


@dataclass(frozen=True)
class Mixed:
    """Which layers stayed in float, most sensitive first, and the mean score on the rows; `whole` is the float's."""

    in_float: tuple[str, ...]
    score: float
    whole: float


def quantize_mixed(
    source: Path,
    calibration: Arrays,
    rows: Arrays,
    score: Score,
    path: Path,
    *,
    method: str,
    reduce_range: bool,
    at_most: int,
    tolerance: float,
) -> Mixed:
    """Quantize an FP32 ONNX file to INT8 with as few layers in float as keep the score, and write it to `path`.

    Layers are ordered by how much each, quantized alone, changes the answers to `rows`; from the most sensitive one
    on they stay in float until `score` of the answers is at most `tolerance` below the float graph's, or `at_most`
    layers are out: of these files the best goes. Raises QuantizationError, also where nothing is quantized; `path` is
    then not written.
    """
    with static_quantizer(source, calibration, method=method, reduce_range=reduce_range, remedy=REMEDY) as quantizer:
        floats, alone = layer_answers(quantizer, rows)
        whole = score(floats)
        order = [each.layer for each in sorted(alone, key=lambda each: each.output_change, reverse=True)]
        model, found = _fewest(quantizer, order[:at_most], rows, score, whole, tolerance)
    check_quantized(model, source.name, "drop `mixed` from the ladder")
    save_onnx(compact(strip(model)), path)
    return found


def _fewest(
    quantizer: StaticQuantizer, order: list[str], rows: Arrays, score: Score, whole: float, tolerance: float
) -> tuple[onnx.ModelProto, Mixed]:
    """The first file that keeps the score, else the best one."""
    nodes = quantizer.layers()

    def attempt(count: int) -> tuple[onnx.ModelProto, Mixed]:
        model = quantizer.quantized(without=[nodes[layer] for layer in order[:count]])
        return model, Mixed(tuple(order[:count]), score(answers(model, rows)), whole)

    best = attempt(0)
    for count in range(1, len(order) + 1):
        if best[1].score >= whole - tolerance:
            break
        best = max(best, attempt(count), key=lambda made: made[1].score)
    return best

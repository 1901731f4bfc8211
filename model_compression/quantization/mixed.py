"""Mixed precision: static INT8 except for the few layers that cost the accuracy, which are measured one by one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnx import ModelProto

from model_compression.onnx_files import compact, pack_weights, save_onnx, strip
from model_compression.quantization.static import StaticQuantizer, answers, check_quantized, static_quantizer
from model_compression.training import Arrays

MIXED_REMEDY = "check that the calibration split fits the model, or drop `mixed` from the ladder"
ALONE_REMEDY = "the layers are not looked at one by one"
Score = Callable[[np.ndarray], float]


@dataclass(frozen=True)
class MixedFile:
    """The layers that stayed in float, most sensitive first, with the mean score of the file on the rows.

    `whole` is the score of the float file.
    """

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
) -> MixedFile:
    """Quantize an FP32 ONNX file to INT8 with as few layers in float as keep the score; writes it to `path`.

    Layers are ordered by how much each, quantized alone, changes the answers to `rows`. The most sensitive ones stay in
    float, one more at a time, until `score` of the answers is at most `tolerance` below the float graph's or `at_most`
    layers are in float. The best of these files is written. Raises QuantizationError, also where nothing is quantized;
    `path` is then not written.
    """
    with static_quantizer(
        source, calibration, method=method, reduce_range=reduce_range, remedy=MIXED_REMEDY
    ) as quantizer:
        found = layer_answers(quantizer, rows)
        whole = score(next(found).outputs)
        changes = {alone.layer: alone.output_change for alone in found}
        order = sorted(changes, key=changes.__getitem__, reverse=True)
        model, made = _fewest(quantizer, order[:at_most], rows, score, whole, tolerance)
    check_quantized(model, source.name, "drop `mixed` from the ladder")
    pack_weights(model)
    save_onnx(compact(strip(model)), path)
    return made


def _fewest(
    quantizer: StaticQuantizer, order: list[str], rows: Arrays, score: Score, whole: float, tolerance: float
) -> tuple[ModelProto, MixedFile]:
    """Return the first file that keeps the score, else the best one."""

    def attempt(count: int) -> tuple[ModelProto, MixedFile]:
        model = quantizer.quantized(without=quantizer.region(order[:count]))
        return model, MixedFile(tuple(order[:count]), score(answers(model, rows)), whole)

    best = attempt(0)
    for count in range(1, len(order) + 1):
        if best[1].score >= whole - tolerance:
            break
        best = max(best, attempt(count), key=lambda made: made[1].score)
    return best


@dataclass(frozen=True)
class LayerAnswer:
    """The model's answers with only this layer in INT8: its weights, its input, and its output behind its activation.

    `outputs` has shape (rows, ...). `output_change` is |quantized - float| / |float| in the Frobenius norm. The float
    graph's own answers are those of no layer, which is `WHOLE`.
    """

    layer: str
    outputs: np.ndarray
    output_change: float


WHOLE = ""


def one_layer_at_a_time(
    source: Path, calibration: Arrays, rows: Arrays, *, method: str, reduce_range: bool
) -> Iterator[LayerAnswer]:
    """Yield the answers to `rows` of the float graph, and then those with each weighted layer quantized alone.

    Whoever keeps figures alone holds the outputs of three graphs at most. The settings are those of
    quantize_after_training(). The effects of single layers do not add up to that of the whole graph, because each layer
    also receives the errors of the layers before it. Raises QuantizationError.
    """
    with static_quantizer(
        source, calibration, method=method, reduce_range=reduce_range, remedy=ALONE_REMEDY
    ) as quantizer:
        yield from layer_answers(quantizer, rows)


def layer_answers(quantizer: StaticQuantizer, rows: Arrays) -> Iterator[LayerAnswer]:
    """Answer as one_layer_at_a_time() does, for a graph that is open already."""
    whole = answers(quantizer.prepared, rows)
    yield LayerAnswer(WHOLE, whole, 0.0)
    for layer, node in quantizer.layers().items():
        outputs = answers(quantizer.quantized(only=quantizer.shipped_with(node)), rows)
        change = float(np.linalg.norm(outputs - whole) / max(float(np.linalg.norm(whole)), 1e-12))
        yield LayerAnswer(layer, outputs, change)
        del outputs

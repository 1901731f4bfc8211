"""What each layer costs: a float graph with one layer at a time quantized, everything else left as it is."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model_compression.quantization.static import StaticQuantizer, answers, static_quantizer
from model_compression.training import Arrays

REMEDY = "the layers are not looked at one by one"


@dataclass(frozen=True)
class LayerAnswer:
    """The model's answers with only this layer in INT8: its weights, its input and its output.

    `output_change` is the change of the answers, as a share of their size: |quantized - float| / |float| (Frobenius).
    """

    layer: str
    outputs: np.ndarray
    output_change: float


def one_layer_at_a_time(
    source: Path, calibration: Arrays, rows: Arrays, *, method: str, reduce_range: bool
) -> tuple[np.ndarray, tuple[LayerAnswer, ...]]:
    """Answer `rows` with the float graph and with each weighted layer quantized alone, as `quantize_after_training`.

    The losses of layers do not add up to that of the whole graph: errors of one layer meet those of the next.
    Raises QuantizationError.
    """
    with static_quantizer(source, calibration, method=method, reduce_range=reduce_range, remedy=REMEDY) as quantizer:
        return layer_answers(quantizer, rows)


def layer_answers(quantizer: StaticQuantizer, rows: Arrays) -> tuple[np.ndarray, tuple[LayerAnswer, ...]]:
    """Do what one_layer_at_a_time does, for a graph that is open already."""
    whole = answers(quantizer.prepared, rows)
    found = []
    for layer, node in quantizer.layers().items():
        outputs = answers(quantizer.quantized(only=[node]), rows)
        change = float(np.linalg.norm(outputs - whole) / max(float(np.linalg.norm(whole)), 1e-12))
        found.append(LayerAnswer(layer, outputs, change))
    return whole, tuple(found)

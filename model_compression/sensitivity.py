"""What each layer costs: a float graph with one layer at a time quantized, everything else left as it is."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnxruntime.quantization import QuantFormat, QuantType, quant_pre_process, quantize_static, save_tensors_data

from model_compression.calibration import observe_ranges
from model_compression.errors import CompressionError, QuantizationError, cause_of
from model_compression.quiet import quiet
from model_compression.training import Arrays

WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
BATCH_ROWS = 256


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
    try:
        with tempfile.TemporaryDirectory(prefix="edgewright-layers-") as folder, quiet("", "onnxruntime"):
            return _answers(source, calibration, rows, Path(folder), method, reduce_range)
    except CompressionError:
        raise
    except Exception as error:  # onnxruntime's exceptions share no base class below Exception
        raise QuantizationError(
            f"expected the layers of {source.name} to quantize one at a time, got {cause_of(error)}; the loss ledger "
            "goes without layers"
        ) from error


def _answers(
    source: Path, calibration: Arrays, rows: Arrays, folder: Path, method: str, reduce_range: bool
) -> tuple[np.ndarray, tuple[LayerAnswer, ...]]:
    prepared, cache, quantized = (folder / name for name in ("prepared.onnx", "ranges.json", "quantized.onnx"))
    quant_pre_process(source, prepared, skip_symbolic_shape=True)
    graph = onnx.load(prepared)
    ranges = observe_ranges(graph, calibration, method)
    save_tensors_data(ranges, cache)
    whole = _run(prepared, rows)
    answers = []
    for node, layer in _layers(graph):
        quantize_static(
            prepared,
            quantized,
            nodes_to_quantize=[node],
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=reduce_range,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=ranges.calibration_method,
            calibration_cache_path=cache,
        )
        outputs = _run(quantized, rows)
        change = float(np.linalg.norm(outputs - whole) / max(float(np.linalg.norm(whole)), 1e-12))
        answers.append(LayerAnswer(layer, outputs, change))
    return whole, tuple(answers)


def _layers(model: onnx.ModelProto) -> Iterator[tuple[str, str]]:
    """Yield (node, layer) of what has weights, in the graph's order; a layer is called as its weight is."""
    weights = {weight.name for weight in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in WEIGHTED and node.name and len(node.input) > 1 and node.input[1] in weights:
            yield node.name, node.input[1].removesuffix(".weight")


def _run(path: Path, rows: Arrays) -> np.ndarray:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    batches = [
        session.run(None, {name: array[start : start + BATCH_ROWS] for name, array in zip(names, rows, strict=True)})[0]
        for start in range(0, len(rows[0]), BATCH_ROWS)
    ]
    return np.concatenate(batches)

"""Post-training quantization with ONNX Runtime."""

from collections.abc import Sequence
from pathlib import Path

from model_compression.onnx_files import compact, save_onnx, strip
from model_compression.quantization.static import Activations, check_quantized, static_quantizer
from model_compression.training import Arrays

REMEDY = "check that the calibration split fits the model, or drop `ptq` from the ladder"


def quantize_after_training(
    source: Path,
    calibration: Arrays,
    path: Path,
    *,
    method: str,
    reduce_range: bool,
    activations: Activations = "uint8",
    in_float: Sequence[str] = (),
) -> Path:
    """Quantize an FP32 ONNX file to INT8 (QDQ, per-channel weights); returns the path.

    The settings as in static_quantizer(); the layers called `in_float` stay so. Raises QuantizationError, also for a
    model without such an operator; `path` is then not written.
    """
    with static_quantizer(
        source, calibration, method=method, reduce_range=reduce_range, remedy=REMEDY, activations=activations
    ) as quantizer:
        nodes = quantizer.layers()
        model = quantizer.quantized(without=[nodes[layer] for layer in in_float])
    check_quantized(model, source.name, "drop `ptq` from the ladder")
    return save_onnx(compact(strip(model)), path)

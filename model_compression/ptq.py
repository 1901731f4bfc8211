"""Post-training quantization with ONNX Runtime."""

import tempfile
from pathlib import Path

import onnx
from onnxruntime.quantization import QuantFormat, QuantType, quant_pre_process, quantize_static, save_tensors_data

from model_compression.calibration import observe_ranges
from model_compression.compact import compact
from model_compression.errors import CompressionError, QuantizationError, cause_of
from model_compression.export import save_onnx, strip
from model_compression.quiet import quiet
from model_compression.training import Arrays


def quantize_after_training(source: Path, calibration: Arrays, path: Path, *, method: str, reduce_range: bool) -> Path:
    """Quantize an FP32 ONNX file to INT8 (QDQ, per-channel weights, uint8 activations); returns the path.

    `method` is minmax, percentile or entropy. uint8 activations because ONNX Runtime's int8 ones were slower than
    FP32 on x86. `reduce_range` keeps weights within -64 to 64, for CPUs whose 8-bit dot product saturates (AVX2 and
    AVX-512 without VNNI). Raises QuantizationError; `path` is then not written.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="edgewright-ptq-") as folder, quiet("", "onnxruntime"):
            quantized = _quantize(source, calibration, Path(folder), method, reduce_range)
    except CompressionError:
        raise
    except Exception as error:  # onnxruntime's exceptions share no base class below Exception
        raise QuantizationError(
            f"expected {source.name} to quantize with {len(calibration[0])} calibration rows, got {cause_of(error)}; "
            "check that the calibration split fits the model, or drop `ptq` from the ladder"
        ) from error
    return save_onnx(compact(strip(quantized)), path)


def _quantize(source: Path, calibration: Arrays, folder: Path, method: str, reduce_range: bool) -> onnx.ModelProto:
    prepared, cache, quantized = (folder / name for name in ("prepared.onnx", "ranges.json", "quantized.onnx"))
    quant_pre_process(source, prepared, skip_symbolic_shape=True)
    ranges = observe_ranges(onnx.load(prepared), calibration, method)
    save_tensors_data(ranges, cache)
    quantize_static(
        prepared,
        quantized,
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        reduce_range=reduce_range,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=ranges.calibration_method,
        calibration_cache_path=cache,
    )
    return onnx.load(quantized)

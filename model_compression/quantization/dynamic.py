"""Dynamic quantization: int8 weights, and activations whose ranges are taken from each row at run time."""

import tempfile
from pathlib import Path

import onnx
from onnxruntime.quantization import QuantType, quant_pre_process, quantize_dynamic

from model_compression.errors import QuantizationError, cause_of
from model_compression.onnx_files import compact, pack_weights, save_onnx, strip
from model_compression.quantization.int4 import BITS, packed
from model_compression.quiet import quiet

TABLE_BLOCK = 32
MADE = ("DynamicQuantizeLinear", "DequantizeLinear", "GatherBlockQuantized", "DynamicQuantizeLSTM")
QUANTIZED = ("MatMul", "Gemm", "Gather", "LSTM")  # a dynamic convolution is slower than the float one


def quantize_dynamically(source: Path, path: Path, *, reduce_range: bool, table_bits: int = 8) -> Path:
    """Quantize the matrix products, LSTMs and tables of an FP32 ONNX file, per channel; returns the path.

    It is made for transformers: a few of their activations are so large that one fixed range would leave too few steps
    for the others. With `table_bits` 4, tables are packed in blocks of 4 bits, because they are read and not
    multiplied. `reduce_range` is as in static_quantizer(). ONNX Runtime has no integer kernel for GRU and RNN: these
    compute in float, with weights of 8 bits. Raises QuantizationError, also for a model without such an operator;
    `path` is then not written.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="edgewright-dynamic-") as folder, quiet("", "onnxruntime"):
            prepared, quantized = Path(folder) / "prepared.onnx", Path(folder) / "quantized.onnx"
            quant_pre_process(source, prepared, skip_symbolic_shape=True)
            if table_bits == BITS:
                onnx.save_model(packed(onnx.load(prepared), ("Gather",), TABLE_BLOCK), prepared)
            quantize_dynamic(
                prepared,
                quantized,
                op_types_to_quantize=list(QUANTIZED),
                per_channel=True,
                reduce_range=reduce_range,
                weight_type=QuantType.QInt8,
            )
            model = onnx.load(quantized)
            packed_weights = pack_weights(model)
    except Exception as error:  # onnxruntime's exceptions share no base class below Exception
        raise QuantizationError(
            f"expected {source.name} to quantize dynamically, got {cause_of(error)}; drop `dynamic` from the ladder"
        ) from error
    if not packed_weights and not any(node.op_type in MADE for node in model.graph.node):
        raise QuantizationError(
            f"expected {source.name} to have matrix products, recurrent layers or tables to quantize dynamically, "
            "found none with constant weights; drop `dynamic` from the ladder"
        )
    return save_onnx(compact(strip(model)), path)

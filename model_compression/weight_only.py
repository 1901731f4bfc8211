"""Weights and tables in blocks of 4 bits, activations in float: for matrix products whose bytes are what costs."""

from pathlib import Path

import onnx
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

from model_compression.compact import compact
from model_compression.errors import QuantizationError, cause_of
from model_compression.export import save_onnx, strip
from model_compression.quiet import quiet

BITS = 4
PACKED = {"MatMul": "MatMulNBits", "Gather": "GatherBlockQuantized"}
INTEGER_PRODUCTS = 4  # accuracy level: ONNX Runtime multiplies in int8 where the processor can


def quantize_weights(source: Path, path: Path, *, block_size: int) -> Path:
    """Pack the constant matrices and tables of an FP32 ONNX file into 4 bits, a scale per block; returns the path.

    Raises QuantizationError, also for a model without such an operator; `path` is then not written.
    """
    try:
        with quiet("", "onnxruntime"):
            model = packed(onnx.load(source), tuple(PACKED), block_size)
    except Exception as error:  # onnxruntime's exceptions share no base class below Exception
        raise QuantizationError(
            f"expected the weights of {source.name} to pack into 4 bits, got {cause_of(error)}; drop `int4` from the "
            "ladder"
        ) from error
    if not has_packed(model):
        raise QuantizationError(
            f"expected {source.name} to have matrix products or tables to pack into 4 bits, found none with constant "
            "weights; drop `int4` from the ladder"
        )
    return save_onnx(compact(strip(model)), path)


def packed(model: onnx.ModelProto, operators: tuple[str, ...], block_size: int) -> onnx.ModelProto:
    """Pack the constants of these operators in place; returns the model."""
    quantizer = MatMulNBitsQuantizer(
        model,
        bits=BITS,
        block_size=block_size,
        is_symmetric=True,
        accuracy_level=INTEGER_PRODUCTS,
        op_types_to_quantize=operators,
        quant_axes=(("MatMul", 0), ("Gather", 1)),
    )
    quantizer.process()
    made: onnx.ModelProto = quantizer.model.model
    return made


def has_packed(model: onnx.ModelProto) -> bool:
    """Whether anything was packed."""
    return any(node.op_type in PACKED.values() for node in model.graph.node)

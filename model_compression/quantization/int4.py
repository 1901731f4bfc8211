"""Weights and tables in blocks of 4 bits with float activations, for models whose size matters most."""

from collections.abc import Mapping
from pathlib import Path

import onnx
from onnx import helper, numpy_helper
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

from model_compression.errors import QuantizationError, cause_of
from model_compression.onnx_files import compact, save_onnx, strip
from model_compression.quiet import quiet

BITS = 4
PACKED = {"MatMul": "MatMulNBits", "Gather": "GatherBlockQuantized"}
INTEGER_PRODUCTS = 4  # accuracy level: ONNX Runtime multiplies in int8 where the processor can


def quantize_weights(source: Path, path: Path, *, block_size: int) -> Path:
    """Pack the constant matrices and tables of an FP32 ONNX file into 4 bits; returns the path.

    Each block of `block_size` numbers has a scale. Raises QuantizationError, also for a model without such an operator;
    `path` is then not written.
    """
    try:
        with quiet("", "onnxruntime"):
            model = packed(products(onnx.load(source)), tuple(PACKED), block_size)
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


def products(model: onnx.ModelProto) -> onnx.ModelProto:
    """Turn each Gemm of a constant matrix into MatMul and Add, which can be packed, in place; returns the model."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        nodes += _product(node, constants, model.graph) if _is_plain(node, constants) else [node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def _is_plain(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> bool:
    """Tell whether a Gemm multiplies by a constant and neither scales nor transposes the other side."""
    given = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    scaled = (given.get("alpha", 1.0), given.get("beta", 1.0), given.get("transA", 0)) != (1.0, 1.0, 0)
    return node.op_type == "Gemm" and node.input[1] in constants and not scaled


def _product(
    node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto], graph: onnx.GraphProto
) -> list[onnx.NodeProto]:
    matrix, output = node.input[1], node.output[0]
    if any(attribute.name == "transB" and attribute.i for attribute in node.attribute):
        values, matrix = numpy_helper.to_array(constants[matrix]), f"{matrix}_of_{output}"
        graph.initializer.append(numpy_helper.from_array(values.T.copy(), matrix))
    if len(node.input) < len(("rows", "matrix", "bias")):
        return [helper.make_node("MatMul", [node.input[0], matrix], [output], f"{output}_product")]
    product = f"{output}_product"
    return [
        helper.make_node("MatMul", [node.input[0], matrix], [product], product),
        helper.make_node("Add", [product, node.input[2]], [output], f"{output}_sum"),
    ]


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
    """Tell whether a graph has packed constants."""
    return any(node.op_type in PACKED.values() for node in model.graph.node)

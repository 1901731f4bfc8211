"""Half precision: the same graph with 16-bit weights and activations."""

from graphlib import TopologicalSorter
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnxruntime.transformers.float16 import convert_float_to_float16

from model_compression.errors import QuantizationError, cause_of
from model_compression.onnx_files import compact, save_onnx, strip
from model_compression.quantization.masks import PARAMETRIC
from model_compression.quiet import quiet

LARGEST = float(np.finfo(np.float16).max)


def convert_to_half(source: Path, path: Path) -> Path:
    """Convert an FP32 ONNX file to FP16, with inputs and outputs left as they are; returns the path.

    A constant beyond 65,504 that is no weight, such as masks are filled with, becomes 65,504. Raises
    QuantizationError, also for weights beyond it.
    """
    try:
        with quiet("", "onnxruntime"):
            model = onnx.load(source)
            _check_weights(model, source.name)
            half = convert_float_to_float16(model, keep_io_types=True)
    except QuantizationError:
        raise
    except Exception as error:  # the converter raises errors of many kinds
        raise QuantizationError(
            f"expected {source.name} to convert to half precision, got {cause_of(error)}; drop `fp16` from the ladder"
        ) from error
    _put_in_order(half.graph)
    return save_onnx(compact(strip(half)), path)


def _put_in_order(graph: onnx.GraphProto) -> None:
    """Put every node behind those that it reads: the converter adds its casts at the end, which ONNX does not allow."""
    makers = {name: place for place, node in enumerate(graph.node) for name in node.output}
    reads = {place: {makers[name] for name in _read(node) & makers.keys()} for place, node in enumerate(graph.node)}
    nodes = [graph.node[place] for place in TopologicalSorter(reads).static_order()]
    ordered = onnx.GraphProto(node=nodes)
    graph.ClearField("node")
    graph.node.extend(ordered.node)


def _read(node: onnx.NodeProto) -> set[str]:
    """Return the names that a node reads, those of its subgraphs included."""
    graphs = [graph for attribute in node.attribute for graph in (attribute.g, *attribute.graphs)]
    return set(node.input).union(*(_read(inner) for graph in graphs for inner in graph.node))


def _check_weights(model: onnx.ModelProto, name: str) -> None:
    weights = {source for node in model.graph.node if node.op_type in PARAMETRIC for source in node.input}
    for tensor in model.graph.initializer:
        is_weight = tensor.data_type == TensorProto.FLOAT and tensor.name in weights
        values = numpy_helper.to_array(tensor) if is_weight else np.zeros(0)
        if values.size and np.abs(values).max() > LARGEST:
            raise QuantizationError(
                f"expected the weights of {name} within {LARGEST:,.0f} for half precision, got larger ones in "
                f"`{tensor.name}`; drop `fp16` from the ladder"
            )

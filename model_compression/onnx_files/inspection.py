"""Facts read off ONNX files: the operators that ONNX Runtime really runs, the tensors, and the size of constants.

What is asked of a model is asked of its graph and of the heads beside it.
"""

import math
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import onnx
import onnxruntime as ort
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto
from onnx.helper import tensor_dtype_to_np_dtype

from edge_runtime.model_files import graphs_of, heads_of
from edge_runtime.settings import TensorSpec
from model_compression.quiet import quiet

_STEPPING = ("Quantize", "Integer", "NBits", "QLinear", "QGemm")
_HALF = (TensorProto.FLOAT16, TensorProto.BFLOAT16)


def optimized_operators(path: Path) -> dict[str, int]:
    """Count the operators of a model as this machine's ONNX Runtime optimizes it, most frequent first."""
    return dict(sum((_optimized(graph) for graph in graphs_of(path)), Counter[str]()).most_common())


def _optimized(path: Path) -> Counter[str]:
    options = ort.SessionOptions()
    options.log_severity_level = 3  # hides a warning that the optimized file is for this processor alone
    with tempfile.TemporaryDirectory(prefix="edgewright-operators-") as folder, quiet("onnxruntime"):
        optimized = Path(folder) / "optimized.onnx"
        options.optimized_model_filepath = str(optimized)
        ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        graph = onnx.load(optimized, load_external_data=False).graph
    return Counter(node.op_type for node in graph.node)


def graph_tensors(path: Path) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Return the inputs and the outputs that a file declares; nothing of it is run."""
    graph = onnx.load(path, load_external_data=False).graph
    constants = {tensor.name for tensor in graph.initializer}
    inputs = tuple(_tensor(value) for value in graph.input if value.name not in constants)
    return inputs, tuple(_tensor(value) for value in graph.output)


def model_tensors(path: Path) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Return the inputs of a model and its outputs, which are those of its heads where it has some."""
    inputs, outputs = graph_tensors(path)
    given = tuple(spec for head in heads_of(path) for spec in graph_tensors(head.path)[1])
    return inputs, given or outputs


def _tensor(value: ValueInfoProto) -> TensorSpec:
    tensor = value.type.tensor_type
    shape = tuple(int(axis.dim_value) if axis.HasField("dim_value") else None for axis in tensor.shape.dim)
    return TensorSpec(value.name, str(tensor_dtype_to_np_dtype(tensor.elem_type)), shape)


def graph_parameters(model: ModelProto, kind: int = TensorProto.FLOAT) -> int:
    """Count the numbers of one type, float32 by default, among a graph's constants."""
    return sum(math.prod(tensor.dims) for tensor in model.graph.initializer if tensor.data_type == kind)


def computes_in_steps(path: Path) -> bool:
    """Tell whether a model computes with quantized or half-precision numbers anywhere."""
    return any(_steps(graph) for graph in graphs_of(path))


def _steps(path: Path) -> bool:
    graph = onnx.load(path, load_external_data=False).graph
    nodes = list(nodes_of(graph))
    casts = (attribute.i for node in nodes for attribute in node.attribute if attribute.name == "to")
    half = any(kind in _HALF for kind in (*casts, *(weight.data_type for weight in graph.initializer)))
    return half or any(mark in node.op_type for node in nodes for mark in _STEPPING)


def nodes_of(graph: GraphProto) -> Iterator[NodeProto]:
    """Yield all nodes of a graph, those of graphs in its nodes included."""
    for node in graph.node:
        yield node
        for inner in graphs_in(node):
            yield from nodes_of(inner)


def graphs_in(node: NodeProto) -> Iterator[GraphProto]:
    """Yield the graphs of a node itself, such as those of a branch or the body of a loop."""
    for attribute in node.attribute:
        yield from (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else []))


def names_read(nodes: Iterable[NodeProto]) -> set[str]:
    """Return the names that nodes read, and that the graphs in them read or give on from outside."""
    read: set[str] = set()
    for node in nodes:
        read |= set(node.input)
        for inner in graphs_in(node):
            read |= names_read(inner.node) | {value.name for value in inner.output}
    return read

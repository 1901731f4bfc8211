"""Counts of the numbers in an ONNX file."""

import math

from onnx import ModelProto, TensorProto


def graph_parameters(model: ModelProto, kind: int = TensorProto.FLOAT) -> int:
    """Count the numbers of one type among a graph's constants, float32 unless another is asked for."""
    return sum(math.prod(tensor.dims) for tensor in model.graph.initializer if tensor.data_type == kind)

"""From a registered `pt2` program to a model that can be pruned and trained, without its source code."""

from model_compression.intake.activations import ScaledDotProductAttention
from model_compression.intake.equality import check_equal
from model_compression.intake.nodes import aten, is_view
from model_compression.intake.onnx_graph import graph_inputs, read_graph
from model_compression.intake.program import InputSpec, check_dynamic_batch, input_specs, load_into, load_program
from model_compression.intake.rebuilding import drop_dead_code, rebuild

__all__ = [
    "InputSpec",
    "ScaledDotProductAttention",
    "aten",
    "check_dynamic_batch",
    "check_equal",
    "drop_dead_code",
    "graph_inputs",
    "input_specs",
    "is_view",
    "load_into",
    "load_program",
    "read_graph",
    "rebuild",
]

"""Intake: from a registered model to one that the other rooms can work on, without its source code.

A `pt2` program comes in as a file. `load_program` reads it without running its author's code, `rebuild` turns it into
modules that can be trained and pruned, `load_into` fills a model of the team's own code instead, and `check_equal`
compares the result with the program on real rows. `rebuild_code` exports such code and rebuilds its program beside it.
`untold_settings` names what training needs and the program does not tell. `weight_shapes` and `graph_digest` tell
whether two programs have one form. A registered ONNX file comes in through `read_graph`. Out goes a
`torch.fx.GraphModule`, or a float ONNX graph in one known form.
"""

from model_compression.intake.activations import ScaledDotProductAttention
from model_compression.intake.equality import check_equal, evaluation_mode, numbered
from model_compression.intake.graph_form import graph_digest, weight_shapes
from model_compression.intake.kept_operators import KeptOperator, kept_as_they_are
from model_compression.intake.nodes import (
    arguments,
    aten,
    is_view,
    live_nodes,
    memory_of,
    operator_name,
    origin,
    written_argument,
)
from model_compression.intake.onnx_graph import graph_inputs, read_graph
from model_compression.intake.ownership import TensorPlace
from model_compression.intake.program import (
    InputSpec,
    check_dynamic_batch,
    check_one_output,
    input_specs,
    keep_output,
    load_into,
    load_program,
    output_names,
    output_nodes,
)
from model_compression.intake.rebuilding import RebuiltCode, drop_dead_code, rebuild, rebuild_code
from model_compression.intake.untold import untold_settings

__all__ = [
    "InputSpec",
    "KeptOperator",
    "RebuiltCode",
    "ScaledDotProductAttention",
    "TensorPlace",
    "arguments",
    "aten",
    "check_dynamic_batch",
    "check_equal",
    "check_one_output",
    "drop_dead_code",
    "evaluation_mode",
    "graph_digest",
    "graph_inputs",
    "input_specs",
    "is_view",
    "keep_output",
    "kept_as_they_are",
    "live_nodes",
    "load_into",
    "load_program",
    "memory_of",
    "numbered",
    "operator_name",
    "origin",
    "output_names",
    "output_nodes",
    "read_graph",
    "rebuild",
    "rebuild_code",
    "untold_settings",
    "weight_shapes",
    "written_argument",
]

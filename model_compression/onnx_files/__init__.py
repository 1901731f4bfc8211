"""ONNX files: written from torch, made short, and inspected.

A torch model and example rows come in; a file with a dynamic batch goes out. `strip` and `compact` remove bytes that no
runtime needs; `pack_weights` stores in 8 bits the weights of layers that have no integer kernel, such as those of
`RECURRENT` operators. `make_portable` makes of a file what ships: a graph and the files of its weights.
`split_at_features` makes a backbone and heads of one graph. `optimized_operators`, `graph_tensors`, `model_tensors`,
`graph_parameters` and `recurrent_note` read a file for checks and reports.
"""

from model_compression.onnx_files.byte_weights import RECURRENT, pack_weights, recurrent_note
from model_compression.onnx_files.export import (
    OUTPUT,
    check_shrunk,
    export_onnx,
    save_onnx,
    strip,
    to_onnx,
    to_traced_onnx,
)
from model_compression.onnx_files.feature_split import split_at_features
from model_compression.onnx_files.inspection import (
    computes_in_steps,
    graph_parameters,
    graph_tensors,
    graphs_in,
    model_tensors,
    names_read,
    optimized_operators,
)
from model_compression.onnx_files.portable import make_portable
from model_compression.onnx_files.slimming import compact

__all__ = [
    "OUTPUT",
    "RECURRENT",
    "check_shrunk",
    "compact",
    "computes_in_steps",
    "export_onnx",
    "graph_parameters",
    "graph_tensors",
    "graphs_in",
    "make_portable",
    "model_tensors",
    "names_read",
    "optimized_operators",
    "pack_weights",
    "recurrent_note",
    "save_onnx",
    "split_at_features",
    "strip",
    "to_onnx",
    "to_traced_onnx",
]

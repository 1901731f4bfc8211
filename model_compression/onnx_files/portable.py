"""The portable form of a model: its graph, with each large constant in a file that is named by its sha256.

It is the form that ships. A graph is put into it before it is measured, and is not changed after that. What ONNX
Runtime's basic optimization would make of it offline is no part of the form: on ten files of this project, INT8 and
float16 files grew by up to 8 %, and only one ended with other kernels. A device optimizes every graph while it loads.
"""

import hashlib
from pathlib import Path

import onnx
from onnx import ModelProto, TensorProto, numpy_helper

from edge_runtime.model_files import MODEL
from model_compression.errors import ExportError, cause_of
from model_compression.onnx_files.inspection import nodes_of

LARGE = 4096
"""Bytes from which a constant has a file of its own: a page, the smallest piece that processes can share."""
PORTABLE = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
"""Domains of operators that ONNX Runtime has on every CPU, its contributed ones included."""


def make_portable(source: Path, folder: Path, name: str = MODEL) -> Path:
    """Write a model in its portable form into a folder; returns the path of its graph, which gets this name.

    Raises ExportError for a file that cannot be read, and for operators that belong to one processor or accelerator.
    """
    try:
        model = onnx.load(source)
    except Exception as error:  # protobuf's errors have no base of their own
        raise ExportError(f"{source.name}: expected an ONNX file, got {cause_of(error)}; make it again") from error
    _check_portable(model, source)
    folder.mkdir(parents=True, exist_ok=True)
    for tensor in model.graph.initializer:
        _move_out(tensor, folder)
    onnx.save_model(model, folder / name)
    return folder / name


def _check_portable(model: ModelProto, source: Path) -> None:
    own = {function.domain for function in model.functions}
    foreign = {
        f"{node.domain}.{node.op_type}" for node in nodes_of(model.graph) if node.domain not in {*PORTABLE, *own}
    }
    if foreign:
        raise ExportError(
            f"{source.name}: expected operators that run on every CPU, got {', '.join(sorted(foreign))}; export the "
            "model without an optimization for one processor or accelerator"
        )


def _move_out(tensor: TensorProto, folder: Path) -> None:
    """Move a constant of LARGE bytes or more into a file beside the graph; equal constants share it.

    Whole numbers of 64 bits stay: shapes are such numbers, and ONNX's shape inference refuses them elsewhere.
    """
    if tensor.data_type in (TensorProto.STRING, TensorProto.INT64) or tensor.ByteSize() < LARGE:
        return
    data = tensor.raw_data or numpy_helper.from_array(numpy_helper.to_array(tensor)).raw_data
    if len(data) < LARGE:
        return
    name = hashlib.sha256(data).hexdigest()
    (folder / name).write_bytes(data)
    moved = TensorProto(
        name=tensor.name, dims=tensor.dims, data_type=tensor.data_type, data_location=TensorProto.EXTERNAL
    )
    moved.external_data.add(key="location", value=name)
    tensor.CopyFrom(moved)

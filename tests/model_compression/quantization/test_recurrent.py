"""Recurrent layers: LSTM in integers, GRU and RNN with weights of 8 bits that cost no time."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from model_compression.onnx_files import recurrent_note
from model_compression.quantization import quantize_after_training, quantize_dynamically
from tests.model_compression.toys import kernels, run

STEPS, FEATURES, HIDDEN, CLASSES = 20, 6, 40, 3
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
SERIES = np.random.default_rng(1).normal(size=(64, STEPS, FEATURES)).astype(np.float32)
KINDS = ["LSTM", "GRU", "RNN"]


def recurrent(kind: str, folder: Path, directions: int = 1) -> Path:
    """A file with one recurrent layer and a linear head on its last state."""
    generator = np.random.default_rng(0)

    def weight(name: str, *shape: int) -> TensorProto:
        return numpy_helper.from_array((generator.normal(size=shape) * 0.2).astype(np.float32), name)

    rows = GATES[kind] * HIDDEN
    more: dict[str, Any] = {"linear_before_reset": 1} if kind == "GRU" else {}
    if directions == 2:
        more["direction"] = "bidirectional"
    nodes = [
        helper.make_node("Transpose", ["series"], ["steps"], "steps", perm=[1, 0, 2]),
        helper.make_node(kind, ["steps", "w", "r", "b"], ["all", "last"], "layer", hidden_size=HIDDEN, **more),
        helper.make_node("Transpose", ["last"], ["state"], "state", perm=[1, 0, 2]),
        helper.make_node("Flatten", ["state"], ["flat"], "flat"),
        helper.make_node("Gemm", ["flat", "head", "head_bias"], ["output"], "head"),
    ]
    constants = [
        weight("w", directions, rows, FEATURES), weight("r", directions, rows, HIDDEN),
        weight("b", directions, 2 * rows), weight("head", directions * HIDDEN, CLASSES), weight("head_bias", CLASSES),
    ]  # fmt: skip
    inputs = [helper.make_tensor_value_info("series", TensorProto.FLOAT, ["batch", STEPS, FEATURES])]
    outputs = [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", CLASSES])]
    graph = helper.make_graph(nodes, "recurrent", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    path = folder / f"{kind}.onnx"
    onnx.save_model(model, path)
    return path


def agree(path: Path, source: Path) -> bool:
    """True where a file picks the same class as its float file on nearly all rows."""
    got, expected = (run(each, SERIES).argmax(1) for each in (path, source))
    return bool((got == expected).mean() >= 0.9)


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_dynamic_files_take_less_than_half_and_answer_alike(kind: str, directions: int, tmp_path: Path) -> None:
    source = recurrent(kind, tmp_path, directions)
    path = quantize_dynamically(source, tmp_path / "int8.onnx", reduce_range=False)
    assert path.stat().st_size < 0.5 * source.stat().st_size
    assert agree(path, source)


def test_an_lstm_computes_in_integers(tmp_path: Path) -> None:
    path = quantize_dynamically(recurrent("LSTM", tmp_path), tmp_path / "int8.onnx", reduce_range=False)
    counts = kernels(path)
    assert counts["DynamicQuantizeLSTM"] == 1 and counts["LSTM"] == 0
    assert recurrent_note(path) == "Recurrent layers: 1 LSTM in integers, by the range of each call."


@pytest.mark.parametrize("kind", ["GRU", "RNN"])
def test_what_has_no_integer_kernel_restores_its_weights_once(kind: str, tmp_path: Path) -> None:
    path = quantize_dynamically(recurrent(kind, tmp_path), tmp_path / "int8.onnx", reduce_range=False)
    counts = kernels(path)
    assert counts[kind] == 1
    assert counts["Cast"] == 0 and counts["Mul"] <= 1  # the weights are constants again; a Mul scales the head
    assert recurrent_note(path) == (
        f"Recurrent layers: 1 {kind} in float, for which 8-bit weights are restored at loading; ONNX Runtime has no "
        "integer kernel for it."
    )


@pytest.mark.parametrize("kind", KINDS)
def test_static_files_store_recurrent_weights_in_bytes_too(kind: str, tmp_path: Path) -> None:
    source, path = recurrent(kind, tmp_path), tmp_path / "int8.onnx"
    quantize_after_training(source, (SERIES,), path, method="minmax", reduce_range=False)
    assert path.stat().st_size < 0.5 * source.stat().st_size
    assert agree(path, source)
    assert kernels(path)[kind] == 1
    assert recurrent_note(path).startswith(f"Recurrent layers: 1 {kind} in float, for which 8-bit weights are restored")


def test_a_float_file_says_that_its_weights_are_float(tmp_path: Path) -> None:
    assert "the weights stay in float" in recurrent_note(recurrent("GRU", tmp_path))

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, save

from edge_runtime.bundle import TensorSpec
from edge_runtime.errors import SessionError, SessionMemoryError
from edge_runtime.session import EdgeModel, session_options
from edge_runtime.settings import SessionSettings
from tests.edge_runtime.models import linear_model, two_headed_model, weights

_ONE = SessionSettings(threads=1)


def test_a_model_says_what_it_takes_and_answers(model: Path) -> None:
    loaded = EdgeModel.load(model, _ONE)
    assert loaded.inputs == (TensorSpec("x", "float32", (None, 8)),)
    assert loaded.outputs == (TensorSpec("y", "float32", (None, 3)),)
    rows = np.random.default_rng(1).standard_normal((5, 8), dtype=np.float32)
    (answer,) = loaded.predict({"x": rows})
    np.testing.assert_allclose(answer, rows @ weights(8, 3), rtol=1e-5, atol=1e-6)


def test_outputs_come_in_the_graphs_order_and_inputs_by_name(tmp_path: Path) -> None:
    loaded = EdgeModel.load(two_headed_model(tmp_path / "two.onnx"), _ONE)
    a, b = np.full((1, 2), 5, np.float32), np.full((1, 2), 3, np.float32)
    assert [spec.name for spec in loaded.outputs] == ["total", "difference"]
    total, difference = loaded.predict({"b": b, "a": a})
    assert (total == 8).all()
    assert (difference == 2).all()


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({}, r"missing \['x'\]"),
        ({"image": np.zeros((1, 8), np.float32)}, r"exactly the inputs \['x'\].*unknown \['image'\]"),
        ({"x": np.zeros((1, 8), np.float64)}, "dtype float32, not float64"),
        ({"x": np.zeros((1, 8), ">f4")}, "dtype float32, not >f4"),
        ({"x": np.zeros(8, np.float32)}, r"shape \(None, 8\), not \(8,\)"),
        ({"x": np.zeros((1, 9), np.float32)}, r"shape \(None, 8\), not \(1, 9\)"),
        ({"x": [[0.0] * 8]}, "numpy array, not list"),
    ],
)
def test_what_is_wrong_with_an_input_is_named(model: Path, arrays: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SessionError, match=sentence):
        EdgeModel.load(model, _ONE).predict(arrays)


def test_a_fixed_batch_is_held(tmp_path: Path) -> None:
    loaded = EdgeModel.load(linear_model(tmp_path / "fixed.onnx", batch=1), _ONE)
    assert loaded.inputs[0].shape == (1, 8)
    with pytest.raises(SessionError, match=r"shape \(1, 8\), not \(2, 8\)"):
        loaded.predict({"x": np.zeros((2, 8), np.float32)})


def test_a_failure_inside_the_graph_is_a_session_error(tmp_path: Path) -> None:
    loaded = EdgeModel.load(two_headed_model(tmp_path / "two.onnx"), _ONE)
    arrays = {"a": np.zeros((2, 2), np.float32), "b": np.zeros((3, 2), np.float32)}
    with pytest.raises(SessionError, match="failed while it ran"):
        loaded.predict(arrays)


def test_a_missing_file_and_a_garbage_file_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(SessionError, match="no model file at"):
        EdgeModel.load(tmp_path / "absent.onnx", _ONE)
    (tmp_path / "garbage.onnx").write_bytes(b"\x00garbage" * 100)
    with pytest.raises(SessionError, match="does not load"):
        EdgeModel.load(tmp_path / "garbage.onnx", _ONE)


def test_an_execution_provider_that_is_not_there_is_named_with_those_that_are(model: Path) -> None:
    with pytest.raises(SessionError, match=r"MoonExecutionProvider is not .* CPUExecutionProvider"):
        EdgeModel.load(model, SessionSettings(threads=1, execution_provider="MoonExecutionProvider"))


def test_a_provider_that_silently_falls_back_is_refused(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["MoonExecutionProvider", "CPUExecutionProvider"])
    session_class = ort.InferenceSession

    def fallen_back(path: str, options: ort.SessionOptions, providers: list[str]) -> ort.InferenceSession:
        assert providers == ["MoonExecutionProvider"]
        return session_class(path, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(ort, "InferenceSession", fallen_back)
    with pytest.raises(SessionError, match="fell back"):
        EdgeModel.load(model, SessionSettings(threads=1, execution_provider="MoonExecutionProvider"))


def test_a_tensor_type_that_numpy_lacks_is_refused(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "text",
        [helper.make_tensor_value_info("x", TensorProto.STRING, [1])],
        [helper.make_tensor_value_info("y", TensorProto.STRING, [1])],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), tmp_path / "text.onnx")
    with pytest.raises(SessionError, match=r"x of type tensor\(string\)"):
        EdgeModel.load(tmp_path / "text.onnx", _ONE)


def test_running_out_of_memory_has_an_error_of_its_own(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_memory(*_: object, **__: object) -> None:
        raise RuntimeError("Load model failed:std::bad_alloc")

    monkeypatch.setattr(ort, "InferenceSession", out_of_memory)
    with pytest.raises(SessionMemoryError, match="bad_alloc"):
        EdgeModel.load(model, _ONE)


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("all", ort.GraphOptimizationLevel.ORT_ENABLE_ALL),
        ("extended", ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED),
        ("basic", ort.GraphOptimizationLevel.ORT_ENABLE_BASIC),
        ("off", ort.GraphOptimizationLevel.ORT_DISABLE_ALL),
    ],
)
def test_settings_reach_onnxruntime(level: Any, expected: ort.GraphOptimizationLevel) -> None:
    options = session_options(SessionSettings(threads=2, optimization=level))
    assert options.graph_optimization_level == expected
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (2, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert options.log_severity_level == 3


def test_no_arena_and_weights_as_the_file_has_them_only_where_that_is_chosen() -> None:
    packed = session_options(SessionSettings(threads=1))
    unpacked = session_options(SessionSettings(threads=1, prepack=False, arena=False))
    assert packed.enable_cpu_mem_arena and not unpacked.enable_cpu_mem_arena
    assert unpacked.get_session_config_entry("session.disable_prepacking") == "1"
    with pytest.raises(RuntimeError):
        packed.get_session_config_entry("session.disable_prepacking")

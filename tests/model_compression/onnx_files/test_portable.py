"""The portable form: the same model, with its large constants in files that their sha256 names."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_runtime.files import sha256_of
from edge_runtime.model_files import model_bytes, model_digest, weights_of
from model_compression.errors import ExportError
from model_compression.onnx_files import make_portable, portable
from model_compression.onnx_files.portable import LARGE
from model_compression.quantization import (
    convert_to_half,
    quantize_after_training,
    quantize_dynamically,
    quantize_weights,
)
from tests.model_compression.toys import digits, float_file, kernels, run

IMAGES = digits("test").images


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return float_file("cnn", tmp_path)


def _rungs(source: Path, folder: Path) -> list[Path]:
    """The float file and what every rung without training makes of it."""
    calibration = (digits("train").images[:64],)
    return [
        source,
        convert_to_half(source, folder / "fp16.onnx"),
        quantize_dynamically(source, folder / "dynamic.onnx", reduce_range=False),
        quantize_weights(source, folder / "int4.onnx", block_size=32),
        quantize_after_training(source, calibration, folder / "ptq.onnx", method="minmax", reduce_range=False),
    ]


def test_it_answers_as_the_file_did_and_runs_the_same_kernels(source: Path, tmp_path: Path) -> None:
    for path in _rungs(source, tmp_path):
        graph = make_portable(path, tmp_path / path.stem)
        np.testing.assert_array_equal(run(graph, IMAGES), run(path, IMAGES), err_msg=path.stem)
        assert kernels(graph) == kernels(path), path.stem


def test_a_limit_of_no_bytes_answers_as_well(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No constant of any kind is one that ONNX Runtime must find in the graph, but for shapes."""
    monkeypatch.setattr(portable, "LARGE", 1)
    for path in _rungs(source, tmp_path):
        graph = make_portable(path, tmp_path / path.stem)
        inside = {t.data_type for t in onnx.load(graph, load_external_data=False).graph.initializer if t.raw_data}
        assert inside <= {TensorProto.INT64}
        np.testing.assert_array_equal(run(graph, IMAGES), run(path, IMAGES), err_msg=path.stem)
        assert kernels(graph) == kernels(path), path.stem


def test_other_tools_read_it(source: Path, tmp_path: Path) -> None:
    for path in _rungs(source, tmp_path):
        graph = make_portable(path, tmp_path / path.stem)
        onnx.checker.check_model(str(graph))
        inside = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}
        beside = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(graph).graph.initializer}
        assert inside.keys() == beside.keys()
        assert all(np.array_equal(inside[name], beside[name]) for name in inside)


def test_its_bytes_are_about_those_of_the_file(source: Path, tmp_path: Path) -> None:
    for path in _rungs(source, tmp_path):
        graph = make_portable(path, tmp_path / path.stem)
        assert weights_of(graph), path.stem
        assert model_bytes(graph) == sum(file.stat().st_size for file in graph.parent.iterdir())
        assert model_bytes(graph) < 1.02 * path.stat().st_size, path.stem


def test_the_same_model_has_the_same_digest(source: Path, tmp_path: Path) -> None:
    one, two = (make_portable(source, tmp_path / name) for name in ("one", "two"))
    assert model_digest(one) == model_digest(two)
    again = make_portable(one, tmp_path / "again")
    assert model_digest(again) == model_digest(one)


def _saved(path: Path, tensors: list[TensorProto], domain: str = "") -> Path:
    names = [tensor.name for tensor in tensors]
    nodes = [helper.make_node("Concat", names, ["y"], axis=0, domain=domain)]
    graph = helper.make_graph(nodes, "g", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"])], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


def test_only_large_constants_move_and_equal_ones_share_a_file(tmp_path: Path) -> None:
    page = np.arange(LARGE // 4, dtype=np.float32)
    tensors = [
        numpy_helper.from_array(page, "a"),
        numpy_helper.from_array(page, "b"),
        numpy_helper.from_array(page[:-1], "small"),
        helper.make_tensor("listed", TensorProto.FLOAT, [len(page) + 1], [0.5, *page.tolist()]),
    ]
    graph = make_portable(_saved(tmp_path / "source.onnx", tensors), tmp_path / "portable")
    assert sorted(path.stat().st_size for path in weights_of(graph)) == [LARGE, LARGE + 4]
    assert [sha256_of(path) for path in weights_of(graph)] == [path.name for path in weights_of(graph)]
    expected = np.concatenate([page, page, page[:-1], [0.5], page])
    np.testing.assert_array_equal(run(graph), expected)


def test_operators_of_one_processor_do_not_ship(tmp_path: Path) -> None:
    source = _saved(
        tmp_path / "source.onnx", [numpy_helper.from_array(np.ones(2, np.float32), "a")], "com.microsoft.nchwc"
    )
    with pytest.raises(
        ExportError, match=r"operators that run on every CPU, got com\.microsoft\.nchwc\.Concat; export"
    ):
        make_portable(source, tmp_path / "portable")


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.onnx").write_bytes(b"no graph")
    with pytest.raises(ExportError, match=r"no\.onnx: expected an ONNX file, got "):
        make_portable(tmp_path / "no.onnx", tmp_path / "portable")

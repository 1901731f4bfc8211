"""A model's digest stands for its graph and all of its weights, read without the onnx package."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edge_runtime.errors import SessionError
from edge_runtime.files import sha256_of
from edge_runtime.model_files import (
    _MESSAGES,
    MODEL,
    model_bytes,
    model_digest,
    model_files,
    weight_names,
    weights_of,
)
from edge_runtime.session import EdgeModel
from edge_runtime.settings import SessionSettings
from tests.edge_runtime.models import linear_model, portable_model, weights

NAME = "a" * 64


def test_a_graph_with_its_weights_inside_is_a_model_of_one_file(tmp_path: Path) -> None:
    path = linear_model(tmp_path / "one.onnx")
    assert model_digest(path) == sha256_of(path)
    assert model_bytes(path) == path.stat().st_size
    assert model_files(path) == {MODEL: path}


def test_weights_beside_the_graph_are_part_of_the_model(tmp_path: Path) -> None:
    path = portable_model(tmp_path, 64, 32)
    (beside,) = weights_of(path)
    assert model_digest(path) == sha256_of(path)
    assert model_bytes(path) == path.stat().st_size + 4 * 64 * 32
    assert model_files(path) == {MODEL: path, sha256_of(beside): beside}
    rows = np.ones((2, 64), np.float32)
    (answers,) = EdgeModel.load(path, SessionSettings(threads=1)).predict({"x": rows})
    np.testing.assert_allclose(answers, rows @ weights(64, 32), rtol=1e-5, atol=1e-5)


def test_one_changed_byte_of_the_weights_is_seen(tmp_path: Path) -> None:
    path = portable_model(tmp_path)
    (beside,) = weights_of(path)
    data = bytearray(beside.read_bytes())
    data[7] ^= 1
    beside.write_bytes(data)
    with pytest.raises(SessionError, match=f"expected weights with the sha256 {beside.name}, got "):
        model_digest(path)


@pytest.mark.parametrize("link", [False, True])
def test_weights_are_files_beside_the_graph(tmp_path: Path, link: bool) -> None:
    path = portable_model(tmp_path / "model")
    (beside,) = weights_of(path)
    away = beside.rename(tmp_path / beside.name)
    if link:
        beside.symlink_to(away)
    with pytest.raises(SessionError, match=f"a file of weights named {beside.name} beside it, got none"):
        model_digest(path)


@pytest.mark.parametrize("location", ["model.onnx.data", "../" + NAME, "/etc/" + NAME, NAME.upper(), NAME[1:], ""])
def test_external_data_under_another_name_is_refused(tmp_path: Path, location: str) -> None:
    path = tmp_path / MODEL
    path.write_bytes(_naming(location).SerializeToString())
    with pytest.raises(SessionError, match="expected external data in files named by their sha256"):
        weight_names(path)


def _naming(location: str) -> onnx.ModelProto:
    graph = helper.make_graph([], "g", [], [], [_outside(location)])
    return helper.make_model(graph)


def _outside(location: str) -> TensorProto:
    tensor = TensorProto(name="w", dims=[2], data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="offset", value="0")
    tensor.external_data.add(key="location", value=location)
    return tensor


def test_names_are_found_wherever_a_graph_can_have_them(tmp_path: Path) -> None:
    names = [letter * 64 for letter in "abcdef"]
    tensors = iter(map(_outside, names))
    inner = helper.make_graph([], "inner", [], [], [next(tensors)])
    nodes = [
        helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=helper.make_graph([], "other", [], [])),
        helper.make_node("Constant", [], ["c"], value=next(tensors)),
        onnx.NodeProto(attribute=[onnx.AttributeProto(name="many", tensors=[next(tensors)])]),
    ]
    model = helper.make_model(helper.make_graph(nodes, "g", [], []))
    model.graph.sparse_initializer.add(values=next(tensors), indices=next(tensors))
    model.functions.add(name="f", node=[helper.make_node("Constant", [], ["d"], value=next(tensors))])
    (tmp_path / MODEL).write_bytes(model.SerializeToString())
    assert weight_names(tmp_path / MODEL) == names


def test_the_fields_that_are_followed_are_those_of_onnx() -> None:
    followed = {(kind, number, inner) for kind, fields in _MESSAGES.items() for number, inner in fields.items()}
    expected = {
        (message.name, field.number, field.message_type.name)
        for message in _messages(onnx.ModelProto.DESCRIPTOR)
        for field in message.fields
        if field.message_type is not None and _leads_to_external_data(field.name, field.message_type)
    }
    assert followed == expected


def _messages(start: Any) -> list[Any]:
    found = {start.name: start}
    waiting = [start]
    while waiting:
        for field in waiting.pop().fields:
            if field.message_type is not None and field.message_type.name not in found:
                found[field.message_type.name] = field.message_type
                waiting.append(field.message_type)
    return list(found.values())


def _leads_to_external_data(field: str, inner: Any) -> bool:
    return field == "external_data" or "TensorProto" in {each.name for each in _messages(inner)}


def test_damaged_graphs_are_refused_and_never_crash(tmp_path: Path) -> None:
    whole = portable_model(tmp_path / "whole").read_bytes()
    path = tmp_path / MODEL
    refused = 0
    for data in _damaged(whole):
        path.write_bytes(data)
        try:
            weight_names(path)
        except SessionError:
            refused += 1
    assert refused > 100


def _damaged(whole: bytes) -> Iterator[bytes]:
    chance = random.Random(0)
    yield from (whole[:length] for length in range(len(whole)))
    for _ in range(500):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        yield bytes(data)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "an empty file"),
        (b"\x3b", "bytes of the unknown kind 3"),
        (b"\x3a" + b"\xff" * 10, "a number of more than ten bytes"),
        (b"\x3a\x05ab", "a file that is cut off"),
    ],
)
def test_what_is_no_graph_is_said(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / MODEL).write_bytes(data)
    with pytest.raises(SessionError, match=f"expected an ONNX graph, got {said}"):
        weight_names(tmp_path / MODEL)


def test_a_graph_nested_without_end_is_refused(tmp_path: Path) -> None:
    data = b""
    for _ in range(40):
        for field in (6, 5, 1):  # a graph in an attribute in a node
            data = _field(field, data)
    (tmp_path / MODEL).write_bytes(_field(7, data))
    with pytest.raises(SessionError, match="nested too deep"):
        weight_names(tmp_path / MODEL)


def _field(number: int, data: bytes) -> bytes:
    size = len(data)
    return bytes([number << 3 | 2, size & 127 | 128, size >> 7]) + data


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(SessionError, match=r"expected an ONNX graph, got .*No such file"):
        weight_names(tmp_path / MODEL)

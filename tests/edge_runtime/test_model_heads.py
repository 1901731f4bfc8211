"""The heads of a model on disk are found beside its graph, and a file that names them wrongly is refused."""

import json
from pathlib import Path

import pytest

from edge_runtime.errors import SessionError
from edge_runtime.model_files import (
    HEADS,
    check_model,
    digest_with_heads,
    files_of,
    graphs_of,
    heads_of,
    model_bytes,
    model_digest,
    model_files,
    write_heads,
)
from tests.edge_runtime.made_families import defects
from tests.edge_runtime.models import portable_model

HEAD = {"name": "kinds", "outputs": ["kinds"]}


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    return defects(tmp_path).on_disk()


def test_a_graph_alone_has_no_heads(tmp_path: Path) -> None:
    assert heads_of(portable_model(tmp_path)) == ()


def test_heads_lie_beside_the_graph_in_their_order(graph: Path) -> None:
    heads = heads_of(graph)
    assert [(head.name, head.path.name, head.outputs) for head in heads] == [
        ("faults", "head.faults.onnx", ("faults",)),
        ("kinds", "head.kinds.onnx", ("kinds",)),
    ]
    assert [heads_of(head.path) for head in heads] == [(), ()]
    assert graphs_of(graph) == [graph, *(head.path for head in heads)]


def test_every_file_of_a_family_is_part_of_the_model(graph: Path) -> None:
    heads = heads_of(graph)
    assert model_digest(graph) == model_digest(graph, heads) != model_digest(graph, ())
    assert model_bytes(graph) == sum(path.stat().st_size for path in files_of(graph, heads)) > model_bytes(graph, ())
    assert set(model_files(graph)) == {path.name for path in graph.parent.iterdir()} - {HEADS}
    check_model(graph, model_digest(graph))
    of_each = [(head.name, model_digest(head.path, ()), head.outputs) for head in heads]
    assert digest_with_heads(model_digest(graph, ()), of_each) == model_digest(graph)


def test_a_changed_head_is_another_model(graph: Path, tmp_path: Path) -> None:
    before = model_digest(graph)
    other = defects(tmp_path / "other", kinds=13).on_disk()
    head = heads_of(graph)[1].path
    head.write_bytes(heads_of(other)[1].path.read_bytes())
    for path in files_of(other):
        if not (graph.parent / path.name).exists():
            (graph.parent / path.name).write_bytes(path.read_bytes())
    assert model_digest(graph) == model_digest(other) != before
    with pytest.raises(SessionError, match="expected the model with sha256"):
        check_model(graph, before)


def test_another_order_of_heads_is_another_model(graph: Path) -> None:
    before, (one, two) = model_digest(graph), heads_of(graph)
    write_heads(graph.parent, {two.name: two.outputs, one.name: one.outputs})
    assert [head.name for head in heads_of(graph)] == ["kinds", "faults"]
    assert model_digest(graph) != before


@pytest.mark.parametrize("link", [False, True])
def test_a_head_without_its_graph_is_no_model(graph: Path, tmp_path: Path, link: bool) -> None:
    head = heads_of(graph)[0].path
    away = head.rename(tmp_path / head.name)
    if link:
        head.symlink_to(away)
    for function in (heads_of, model_digest, model_bytes, model_files):
        with pytest.raises(SessionError, match="the graph of its head faults as head"):
            function(graph)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected the heads of a model, got"),
        ("{", "expected the heads of a model, got"),
        ("[" * 100_000, "expected the heads of a model, got"),
        ("[]", "something else than an object with the keys heads"),
        (json.dumps({"heads": [HEAD], "more": 1}), "something else than an object with the keys heads"),
        ('{"heads": [], "heads": []}', "a key twice"),
        (json.dumps({"heads": [HEAD, HEAD]}), "a head without a name of its own"),
        (json.dumps({"heads": [{**HEAD, "outputs": "kinds"}]}), "without a list of outputs"),
        (json.dumps({"heads": [{"name": "kinds"}]}), "an object with the keys name, outputs"),
        (json.dumps({"heads": 3}), "expected the heads of a model, got"),
        (json.dumps({"heads": []}), "expected at least one head, got none"),
        (json.dumps({"heads": [{**HEAD, "name": "../kinds"}]}), "expected heads named by letters"),
        (json.dumps({"heads": [{**HEAD, "outputs": []}]}), "expected heads named by letters"),
        (json.dumps({"heads": [{**HEAD, "outputs": ["a\nb"]}]}), "expected heads named by letters"),
        (json.dumps({"heads": [{**HEAD, "outputs": [3]}]}), "expected heads named by letters"),
        (json.dumps({"heads": [HEAD, {**HEAD, "name": "faults"}]}), "expected each output once, got 'kinds' twice"),
        (json.dumps({"heads": [{**HEAD, "outputs": ["x" * (1 << 20)]}]}), "more than 1048576 bytes"),
    ],
)  # fmt: skip
def test_a_damaged_file_of_heads_is_refused(graph: Path, text: str, says: str) -> None:
    (graph.parent / HEADS).write_text(text)
    with pytest.raises(SessionError, match=says):
        model_digest(graph)


def test_a_file_of_heads_that_is_no_file_is_refused(graph: Path) -> None:
    (graph.parent / HEADS).unlink()
    (graph.parent / HEADS).mkdir()
    with pytest.raises(SessionError, match="expected a file that can be read"):
        heads_of(graph)


def test_names_that_no_file_can_have_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(SessionError, match="expected heads named by letters"):
        write_heads(tmp_path, {"a/b": ["y"]})
    assert not list(tmp_path.iterdir())

"""A backbone and its heads in memory: what runs for what is asked, what is kept, and what does not fit."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from edge_runtime.backbone import BackboneModel, load_model
from edge_runtime.errors import SessionError
from edge_runtime.families import family_of
from edge_runtime.model_files import HeadGraph, model_bytes, model_digest
from edge_runtime.session import EdgeModel
from edge_runtime.settings import SessionSettings
from tests.edge_runtime.install.carried import WIDTH, rows
from tests.edge_runtime.made_families import (
    CLASSES,
    FEATURES,
    ONE_THREAD,
    GraphFile,
    MadeFamily,
    backbone,
    defects,
    head,
)
from tests.edge_runtime.models import two_headed_model


class Calls(list[tuple[str, int]]):
    """The first output of each session that ran, with the rows that went in; `loaded` are the paths of loads."""

    loaded: list[Path]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Every call of a session and every load, noted beside what really happens."""
    noted = Calls()
    noted.loaded = []
    predict, load = EdgeModel.predict, EdgeModel.load

    def predicts(
        self: EdgeModel, arrays: Mapping[str, np.ndarray], outputs: Sequence[str] | None = None
    ) -> list[np.ndarray]:
        noted.append((self.outputs[0].name, len(next(iter(arrays.values())))))
        return predict(self, arrays, outputs)

    def loads(path: Path, settings: SessionSettings) -> EdgeModel:
        noted.loaded.append(Path(path))
        return load(path, settings)

    monkeypatch.setattr(EdgeModel, "predict", predicts)
    monkeypatch.setattr(EdgeModel, "load", loads)
    return noted


def loaded(family: MadeFamily, before: object = None) -> BackboneModel:
    path, heads = family.paths()
    graphs = [HeadGraph(name, graph, (name,)) for name, graph in heads.items()]
    model = load_model(path, ONE_THREAD, graphs, before)
    assert isinstance(model, BackboneModel)
    return model


def right(family: MadeFamily, array: np.ndarray, name: str) -> np.ndarray:
    return family.right(array)[name]


def test_every_head_answers_and_the_backbone_runs_once(tmp_path: Path, calls: Calls) -> None:
    family = defects(tmp_path)
    model = loaded(family)
    assert [spec.name for spec in model.inputs] == ["x"]
    assert [spec.name for spec in model.outputs] == ["faults", "kinds"]
    answers = model.predict({"x": rows(5)})
    for name, answer in zip(("faults", "kinds"), answers, strict=True):
        np.testing.assert_allclose(answer, right(family, rows(5), name), atol=1e-5)
    assert calls == [("features", 5), ("faults", 5), ("kinds", 5)]


def test_a_head_that_is_asked_alone_runs_alone(tmp_path: Path, calls: Calls) -> None:
    family = defects(tmp_path)
    model = loaded(family)
    (answer,) = model.predict({"x": rows(3)}, ["kinds"])
    np.testing.assert_allclose(answer, right(family, rows(3), "kinds"), atol=1e-5)
    assert calls == [("features", 3), ("kinds", 3)]
    first, second = model.predict({"x": rows(3)}, ["kinds", "faults"])
    np.testing.assert_allclose(first, right(family, rows(3), "kinds"), atol=1e-5)
    np.testing.assert_allclose(second, right(family, rows(3), "faults"), atol=1e-5)
    with pytest.raises(SessionError, match=r"gives \['faults', 'kinds'\], and not \['features'\]"):
        model.predict({"x": rows(3)}, ["features"])


@pytest.mark.parametrize(
    ("wanted", "ran"),
    [([0, 3], 2), ([2, 3], 2), ([0, 1, 2, 4, 5, 7], 8), (list(range(8)), 8)],
    ids=["some", "neighbours", "nearly all", "all"],
)
def test_a_head_runs_for_the_rows_that_want_it(tmp_path: Path, calls: Calls, wanted: list[int], ran: int) -> None:
    family = defects(tmp_path)
    model = loaded(family)
    found = model.predict_rows({"x": rows(8)}, {"kinds": np.array(wanted), "faults": None})
    np.testing.assert_allclose(found["faults"], right(family, rows(8), "faults"), atol=1e-5)
    np.testing.assert_allclose(found["kinds"], right(family, rows(8), "kinds")[wanted], atol=1e-5)
    assert calls == [("features", 8), ("faults", 8), ("kinds", ran)]


def test_outputs_of_one_graph_may_be_wanted_for_different_rows(tmp_path: Path) -> None:
    model = load_model(two_headed_model(tmp_path / "two.onnx"), ONE_THREAD)
    x = np.arange(12, dtype=np.float32).reshape(6, 2)
    found = model.predict_rows({"a": x, "b": x}, {"total": np.array([0, 5]), "difference": None})
    np.testing.assert_array_equal(found["total"], (x + x)[[0, 5]])
    assert found["difference"].shape == (6, 2)


def test_features_are_not_copied_on_their_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded(defects(tmp_path))
    seen: dict[str, set[int]] = {"gave": set(), "took": set()}
    predict = EdgeModel.predict

    def noting(
        self: EdgeModel, arrays: Mapping[str, np.ndarray], outputs: Sequence[str] | None = None
    ) -> list[np.ndarray]:
        found = predict(self, arrays, outputs)
        if "features" in arrays:
            seen["took"].add(arrays["features"].ctypes.data)
        else:
            assert not found[0].flags.owndata  # it is ONNX Runtime's own memory
            seen["gave"].add(found[0].ctypes.data)
        return found

    monkeypatch.setattr(EdgeModel, "predict", noting)
    model.predict({"x": rows(4)})
    assert len(seen["gave"]) == 1 and seen["took"] == seen["gave"]


def test_what_a_backbone_does_not_take_is_refused_by_its_name(tmp_path: Path) -> None:
    model = loaded(defects(tmp_path))
    for arrays in ({}, {"x": rows(2).astype(np.float64)}, {"x": rows(2)[:, :3]}):
        with pytest.raises(SessionError, match="input"):
            model.check(arrays)
    model.check({"x": rows(2)})


def test_only_changed_heads_are_loaded(tmp_path: Path, calls: Calls) -> None:
    first = loaded(defects(tmp_path / "one"))
    assert len(calls.loaded) == 3
    family = defects(tmp_path / "two", kinds=99)
    second = loaded(family, first)
    assert [path.parents[1].name for path in calls.loaded[3:]] == ["head-kinds"]
    np.testing.assert_allclose(second.predict({"x": rows(4)})[1], right(family, rows(4), "kinds"), atol=1e-5)
    loaded(defects(tmp_path / "three", backbone=backbone(seed=8)), second)
    assert [path.parents[1].name for path in calls.loaded[4:]] == ["backbone", "head-kinds"]


def test_another_session_is_another_model(tmp_path: Path, calls: Calls) -> None:
    path, heads = defects(tmp_path).paths()
    graphs = [HeadGraph(name, graph, (name,)) for name, graph in heads.items()]
    first = load_model(path, ONE_THREAD, graphs)
    load_model(path, SessionSettings(threads=2), graphs, first)
    assert len(calls.loaded) == 6


MISFITS: dict[str, tuple[GraphFile, str]] = {
    "another name": (head("kinds", 2, reads="other"), "reads other, which the backbone does not give"),
    "nested": (head("kinds", 2, reads="faults", width=CLASSES), "which the head faults gives: heads are not nested"),
    "another width": (head("kinds", 2, width=FEATURES + 1), r"\(None, 65\).* the shape \(None, 64\)"),
    "another dtype": (head("kinds", 2, dtype=TensorProto.DOUBLE), "in float64, and the backbone gives it in float32"),
    "the backbone's input": (head("kinds", 2, reads="x", width=WIDTH), "reads x, which the backbone does not give"),
    "one output twice": (head("faults", 2), "Two heads give the output faults"),
    "another output": (head("sorts", 2), r"gives the outputs \['sorts'\], and it is declared with \['kinds'\]"),
}


@pytest.mark.parametrize(("graph", "sentence"), MISFITS.values(), ids=MISFITS)
def test_heads_that_do_not_fit_are_refused(tmp_path: Path, graph: GraphFile, sentence: str) -> None:
    family = MadeFamily(tmp_path, {"faults": head("faults", 1), "kinds": graph})
    with pytest.raises(SessionError, match=sentence):
        loaded(family)


def test_the_digest_of_a_family_is_that_of_all_its_graphs(tmp_path: Path) -> None:
    digests, sizes = set(), set()
    for name, kinds in (("one", 12), ("two", 12), ("three", 13)):
        path, heads = defects(tmp_path / name, kinds=kinds).paths()
        graphs = family_of(path, heads, ONE_THREAD).graphs
        digests.add(model_digest(path, graphs))
        sizes.add(model_bytes(path, graphs))
        assert model_digest(path, graphs) not in (model_digest(path), model_digest(path, graphs[::-1]))
    assert len(digests) == 2 and len(sizes) == 1

"""Structures of releases as records: written by one machine, read by another years later, or counted as none."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from deployments.rungs import Rung
from deployments.techniques import KeepStructure
from edge_runtime.files import sha256_of
from model_compression.pruning import WEIGHTS
from tasks.compression import (
    STRUCTURE,
    WEIGHTS_FOLDER,
    ReleaseStructure,
    prune,
    released_structure,
    released_weights,
    structure_of,
    weights_of,
)
from tasks.compression.structures import ParentForm
from tasks.registry import EdgeVersion, Runs
from tasks.upstream import Context, DeviceContext
from tasks.workspace import Workspace
from tests.tasks.builders import on
from tests.tasks.compression.structured import pruned_job, started
from tests.tasks.registry.shelf import Shelf

PTQ: Rung = TypeAdapter(Rung).validate_python({"kind": "ptq", "calibration": "minmax"})
STORED = """
{"form": 1,
 "parent": {"shapes": {"0.weight": [8, 6], "0.bias": [8], "2.weight": [3, 8], "2.bias": [3]}, "graph": "4f"},
 "rung": {"kind": "ptq", "calibration": "minmax"},
 "shapes": {"0.weight": [6, 6], "0.bias": [6], "2.weight": [3, 6], "2.bias": [3]},
 "bounds": {"units": ["channels"], "round_to": 4},
 "removed": [{"vocabulary": {"unknown": 1, "tables": {"words": [0, 1, 5]}}, "layers": ["block.2"]},
             {"heads": {"out": [3]}, "channels": {"0": [1, 7]}}],
 "student": null}
"""
"""A record as it was written once: it must be readable for as long as form 1 is."""


@pytest.mark.usefixtures("registered")
def test_a_snapshots_removals_are_read_as_they_were_written(workspace: Workspace) -> None:
    begun, baseline = started(pruned_job(workspace))
    last = prune.fn(begun, baseline).snapshots[-1]
    structure = structure_of(begun, last, PTQ)
    assert structure is not None and last.index == 2
    again = ReleaseStructure.model_validate_json(structure.model_dump_json())
    assert again == structure and again.history == last.history
    assert [set(removed) for removed in again.history] == [{"channels"}, {"channels"}]
    assert again.parent.shapes["0.weight"] == (8, 6) and again.shapes["0.weight"] < (8, 6)
    assert again.bounds == {"units": ["channels"], "round_to": 1}
    assert str(workspace.home) not in structure.model_dump_json()


@pytest.mark.usefixtures("registered")
def test_the_parent_as_a_whole_has_nothing_removed(workspace: Workspace) -> None:
    begun, baseline = started(pruned_job(workspace))
    structure = structure_of(begun, baseline.snapshot, PTQ)
    assert structure is not None and structure.history == [] and structure.student is None


@pytest.mark.usefixtures("registered")
def test_weights_are_kept_for_recipes_that_keep_structures(workspace: Workspace) -> None:
    begun, baseline = started(pruned_job(workspace, keep_structure=KeepStructure()))
    last = prune.fn(begun, baseline).snapshots[-1]
    weights, structure = weights_of(begun, last), structure_of(begun, last, PTQ)
    assert weights is not None and structure is not None and structure.weights == sha256_of(weights)
    assert weights_of(begun, baseline.snapshot) is None  # the parent is registered as it is
    without = structure_of(Context(pruned_job(workspace), begun.parent, begun.runs, begun.run), last, PTQ)
    assert without is not None and without.weights is None


def test_a_stored_record_is_read() -> None:
    structure = ReleaseStructure.model_validate_json(STORED)
    assert structure.history == [
        {"vocabulary": {"unknown": 1, "tables": {"words": [0, 1, 5]}}, "layers": ["block.2"]},
        {"heads": {"out": [3]}, "channels": {"0": [1, 7]}},
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"form": 2},
        {"removed": [{"filters": {"0": [1]}}]},
        {"removed": [{"channels": {"0": [-1]}}]},
        {"removed": [{"channels": {"0": ["first"]}}]},
        {"shapes": None},
        {"student": {"family": "own", "width": 0, "depth": 1}},
        {"further": 1},
    ],
    ids=str,
)
def test_another_form_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ReleaseStructure.model_validate_json(json.dumps(json.loads(STORED) | change))


@pytest.mark.parametrize(
    ("shapes", "graph", "said"),
    [
        ({"a": (2, 3), "b": ()}, "4f", ""),
        ({"a": (2, 4), "b": ()}, "4f", "a was 2 x 3 and is 2 x 4"),
        ({"a": (2, 3)}, "4f", "b was one number and is absent"),
        ({"a": (2, 3), "b": (), "c": (1,)}, "4f", "c was absent and is 1"),
        ({"a": (2, 3), "b": ()}, "50", "its weights have the same shapes, and its operators are others"),
    ],
)
def test_a_difference_of_parents_is_said_in_words(shapes: dict[str, tuple[int, ...]], graph: str, said: str) -> None:
    before = ParentForm(shapes={"a": (2, 3), "b": ()}, graph="4f")
    assert before.difference(ParentForm(shapes=shapes, graph=graph)) == said


class TestReading:
    @pytest.fixture
    def shelf(self, workspace: Workspace, tmp_path: Path, request: pytest.FixtureRequest) -> Shelf:
        return Shelf(workspace.tracking_uri, str(request.node.name), tmp_path)

    @pytest.fixture
    def asking(self, workspace: Workspace, shelf: Shelf) -> DeviceContext:
        begun = on(pruned_job(workspace, shelf.models.model))
        return Context(begun.job, begun.parent, shelf.runs, "no run").on(begun.device)

    def release(self, shelf: Shelf, text: str | None) -> EdgeVersion:
        """A release whose run keeps a text as its structure."""
        candidate = shelf.keep("1")
        if text is not None:
            shelf.runs.text(candidate.run, STRUCTURE, text)
        return shelf.models.release("bench", candidate, 1, "", {"edgewright.verdict": "pass"})

    def test_it_is_found_from_the_release(self, shelf: Shelf, asking: DeviceContext) -> None:
        edge = self.release(shelf, STORED)
        assert released_structure(asking, edge) == ReleaseStructure.model_validate_json(STORED)

    def test_its_weights_are_fetched_once(
        self, shelf: Shelf, asking: DeviceContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        record, edge = self.with_weights(shelf, tmp_path, b"weights", b"weights")
        found = released_weights(asking, edge, record)
        assert found is not None and found.read_bytes() == b"weights"
        monkeypatch.setattr(Runs, "fetch", lambda *_: pytest.fail("they were fetched again"))
        assert released_weights(asking, edge, record) == found

    def test_other_weights_are_none_with_a_warning(
        self, shelf: Shelf, asking: DeviceContext, tmp_path: Path, warned: list[str]
    ) -> None:
        record, edge = self.with_weights(shelf, tmp_path, b"weights", b"changed")
        assert released_weights(asking, edge, record) is None
        assert len(warned) == 1 and "the weights of release 1 are not used" in warned[0]

    def test_weights_that_are_gone_are_none_with_a_warning(
        self, shelf: Shelf, asking: DeviceContext, warned: list[str]
    ) -> None:
        record = ReleaseStructure.model_validate_json(STORED).model_copy(update={"weights": "0" * 64})
        assert released_weights(asking, self.release(shelf, STORED), record) is None
        assert len(warned) == 1 and "the weights of release 1 are not used" in warned[0]

    def test_without_weights_nothing_is_fetched(
        self, shelf: Shelf, asking: DeviceContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Runs, "fetch", lambda *_: pytest.fail("something was fetched"))
        record, edge = ReleaseStructure.model_validate_json(STORED), self.release(shelf, STORED)
        assert released_weights(asking, edge, record) is None

    def with_weights(
        self, shelf: Shelf, folder: Path, told: bytes, kept: bytes
    ) -> tuple[ReleaseStructure, EdgeVersion]:
        """A release whose record tells of some weights, and whose run keeps these or others."""
        told_file, kept_file = folder / "told", folder / WEIGHTS
        told_file.write_bytes(told)
        kept_file.write_bytes(kept)
        record = ReleaseStructure.model_validate_json(STORED).model_copy(update={"weights": sha256_of(told_file)})
        edge = self.release(shelf, record.model_dump_json())
        shelf.runs.file(shelf.models.page(edge).candidate.run, kept_file, WEIGHTS_FOLDER)
        return record, edge

    def test_a_release_without_one_has_none(self, shelf: Shelf, asking: DeviceContext, warned: list[str]) -> None:
        assert released_structure(asking, self.release(shelf, None)) is None and not warned

    @pytest.mark.parametrize(
        "text", ["", "{", "[]", STORED.replace('"form": 1', '"form": 2')], ids=["nothing", "cut", "list", "newer"]
    )
    def test_one_that_cannot_be_read_is_none_with_a_warning(
        self, shelf: Shelf, asking: DeviceContext, warned: list[str], text: str
    ) -> None:
        assert released_structure(asking, self.release(shelf, text)) is None
        assert len(warned) == 1 and "structure.json cannot be read" in warned[0]

    def test_one_that_is_no_file_is_none_with_a_warning(
        self, shelf: Shelf, asking: DeviceContext, warned: list[str], tmp_path: Path
    ) -> None:
        edge = self.release(shelf, None)
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "file").write_text(STORED)
        shelf.runs.folder(shelf.models.page(edge).candidate.run, tmp_path / "folder", STRUCTURE)
        assert released_structure(asking, edge) is None
        assert len(warned) == 1 and "the structure of release 1 is not known" in warned[0]

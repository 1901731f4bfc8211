"""Gates that show nothing, for a class lacks rows or nothing is demanded, are named before any training."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deployments.workload import Split
from tasks.job import known_classes
from tasks.upstream import check_recipe, plan_of
from tests.tasks.tiny import RECIPE, Blobs

MACRO = """gates:
  - {kind: non_inferiority, name: every class, metric: macro_f1, against: parent, margin: 0.3, confidence: 0.95}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """The smallest recipe with one gate on macro-F1."""
    (tmp_path / "recipes").mkdir()
    (tmp_path / "devices").symlink_to(RECIPE.parents[1] / "devices")
    path = tmp_path / "recipes" / "tiny.yaml"
    path.write_text(RECIPE.read_text().partition("gates:\n")[0] + MACRO)
    return path


@pytest.fixture
def class_without_test_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Blobs.split

    def split(self: Blobs, name: str) -> Split:
        rows = whole(self, name)  # type: ignore[arg-type]
        return replace(rows, targets=np.minimum(rows.targets, 1)) if name == "test" else rows

    monkeypatch.setattr(Blobs, "split", split)


def test_where_every_class_has_rows_nothing_is_said(recipe: Path, warned: list[str]) -> None:
    check_recipe(recipe)
    assert warned == []


@pytest.mark.usefixtures("class_without_test_rows")
def test_a_gate_that_cannot_be_decided_is_named_by_the_check_and_by_the_plan(recipe: Path, warned: list[str]) -> None:
    check_recipe(recipe)
    (message,) = warned
    assert message.startswith(f"{recipe}: key `gates`: on the test split, gate 'every class' will be inconclusive: ")
    assert "class 2, of which there is none among these 30 rows; another split has 16 of 2" in message
    planned = plan_of(recipe)
    lines = planned.lines(planned.recipe.devices[0], 0.05)
    assert lines[0].answer.startswith("no: Macro-F1 is also about class 2")


def test_a_recipe_whose_first_release_shows_nothing_is_named(recipe: Path, warned: list[str]) -> None:
    recipe.write_text(recipe.read_text().replace("against: parent", "against: deployed"))
    check_recipe(recipe)
    (message,) = warned
    assert message.startswith(f"{recipe}: key `gates`: expected a gate that a first release passes only where")
    assert "(waits for a deployed model: 'every class')" in message


def test_right_answers_that_are_no_single_class_name_none() -> None:
    class Several(Blobs):
        def right_answers(self, targets: np.ndarray) -> np.ndarray:
            return np.stack([targets, targets], axis=1)

    splits = {name: Blobs().split(name) for name in ("train", "calibration", "validation", "test")}
    assert known_classes(Several(), splits).on(None) == {}  # type: ignore[arg-type]
    assert set(known_classes(Blobs(), splits).on(None)) == {0, 1, 2}  # type: ignore[arg-type]


SLICED = """  - {kind: non_inferiority, name: b, metric: accuracy, against: parent, margin: 0.9, confidence: 0.95,
     slice: {column: label, equals: b}}
"""
FLOOR = """  - {kind: limit, name: floor of b, metric: accuracy, at_least: 0.1, confidence: 0.95,
     slice: {column: label, equals: b}}
"""


def test_a_critical_slice_without_a_floor_is_named_by_the_check_and_by_the_plan(
    recipe: Path, warned: list[str]
) -> None:
    whole = recipe.read_text()
    recipe.write_text(whole + SLICED)
    check_recipe(recipe)
    (message,) = warned
    assert (
        "expected a `limit` on a metric for every critical slice, got none where label = b, so that a first" in message
    )
    assert "release there is inconclusive; add one with this `slice`" in message
    planned = plan_of(recipe)
    lines = planned.lines(planned.recipe.devices[0], 0.05)
    assert any(line.answer == "no: a first release has no limit where label = b" for line in lines)
    warned.clear()
    recipe.write_text(whole + SLICED + "first: accept\n")
    check_recipe(recipe)
    assert len(warned) == 1 and "is published without, as the recipe accepts" in warned[0]
    warned.clear()
    recipe.write_text(whole + SLICED + FLOOR)
    check_recipe(recipe)
    assert warned == []


def test_a_class_without_a_floor_is_named_unless_a_limit_holds_its_rows(recipe: Path, warned: list[str]) -> None:
    whole = recipe.read_text()
    named = "  - {kind: non_inferiority, name: c, metric: f1, of: 1, against: parent, margin: 0.3, confidence: 0.95}\n"
    recipe.write_text(whole + named)
    check_recipe(recipe)
    (message,) = warned
    assert "expected a `limit` on a metric for every critical slice, got none where target = 1, so that" in message
    warned.clear()
    floor = (
        "  - {kind: limit, name: f, metric: accuracy, at_least: 0.1, confidence: 0.95, "
        "slice: {column: label, in: [b]}}\n"
    )
    recipe.write_text(whole + named + floor)
    check_recipe(recipe)
    assert warned == []
    planned = plan_of(recipe)
    lines = planned.lines(planned.recipe.devices[0], 0.05)
    assert [line.answer for line in lines if line.name == "floors of critical slices"] == ["not a matter of rows"]


ANCHORED = """  - {kind: non_inferiority, name: anchored, metric: accuracy, against: anchor, margin: 0.9,
     confidence: 0.95}
"""


def test_an_anchor_whose_margin_many_looks_exceed_is_named(recipe: Path, warned: list[str]) -> None:
    recipe.write_text(recipe.read_text() + ANCHORED)
    check_recipe(recipe)
    (message,) = warned
    assert message.startswith(f"{recipe}: key `alpha_spending`: expected a total over a number of looks beside gates")
    warned.clear()
    recipe.write_text(recipe.read_text() + "alpha_spending: {total: 0.05, looks: 10}\n")
    check_recipe(recipe)
    assert warned == []

"""Climbs of the ladder: the snapshot, the rung, the stop and the sentences."""

from pathlib import Path

import pytest

from deployments.recipe import Recipe
from quality_gates.evidence import Unanswered
from tests.end_to_end.tiny.variants import QAT
from tests.tasks.climbing import ROWS, climbed, index, recipe_of, snapshot


@pytest.fixture
def recipe() -> Recipe:
    return recipe_of([{"kind": "ptq", "calibration": "minmax"}, QAT])


def test_the_first_rung_that_holds_ends_the_climb(tmp_path: Path, recipe: Recipe) -> None:
    snapshots = [snapshot(0, 20_000, 290), snapshot(1, 7_000, 290), snapshot(2, 3_000, 290)]
    found = climbed(tmp_path, recipe, snapshots, {(1, "PTQ minmax"): (288, 8_000)})
    assert found.held
    assert [(index(a), a.rung.title) for a in found.attempts] == [(1, "PTQ minmax")]


def test_qat_is_tried_where_quantization_is_the_cause(tmp_path: Path, recipe: Recipe) -> None:
    made = {(1, "PTQ minmax"): (240, 8_000), (1, "QAT"): (289, 8_000)}
    found = climbed(tmp_path, recipe, [snapshot(1, 7_000, 290)], made)
    assert found.held and found.chosen.rung.title == "QAT"
    assert found.attempts[0].reason.endswith("Next rung: QAT.")


def test_no_dearer_rung_is_tried_where_the_float_snapshot_fails(tmp_path: Path, recipe: Recipe) -> None:
    found = climbed(tmp_path, recipe, [snapshot(1, 7_000, 240)], {(1, "PTQ minmax"): (240, 8_000)})
    assert not found.held and len(found.attempts) == 1
    assert "quantization is not the cause" in found.chosen.reason


def test_a_smaller_snapshot_is_tried_where_only_a_budget_is_missed(tmp_path: Path, recipe: Recipe) -> None:
    made = {(1, "PTQ minmax"): (290, 9_500), (2, "PTQ minmax"): (288, 5_000)}
    found = climbed(tmp_path, recipe, [snapshot(1, 7_000, 290), snapshot(2, 3_000, 290)], made)
    assert found.held and index(found.chosen) == 2
    assert [index(attempt) for attempt in found.attempts] == [1, 2]
    assert found.attempts[0].reason.endswith("a dearer rung makes none smaller, so none is tried.")


def test_a_dearer_rung_is_tried_where_accuracy_is_missed_too(tmp_path: Path, recipe: Recipe) -> None:
    made = {(1, "PTQ minmax"): (240, 9_500), (1, "QAT"): (289, 9_500)}
    found = climbed(tmp_path, recipe, [snapshot(1, 7_000, 290)], made)
    assert [attempt.rung.title for attempt in found.attempts] == ["PTQ minmax", "QAT"]


def test_where_nothing_holds_the_best_attempt_goes_to_the_gates(tmp_path: Path, recipe: Recipe) -> None:
    made = {(1, "PTQ minmax"): (240, 8_000), (1, "QAT"): (250, 8_000)}
    found = climbed(tmp_path, recipe, [snapshot(1, 7_000, 290)], made)
    assert not found.held
    assert found.chosen.rung.title == "QAT" and found.chosen.accuracy == pytest.approx(250 / ROWS)


def test_without_answers_neither_a_dearer_rung_nor_a_smaller_snapshot_is_tried(tmp_path: Path, recipe: Recipe) -> None:
    missing = Unanswered("expected an emulator, got none.", "Install it.")
    made = {(1, "PTQ minmax"): (290, 9_500)}
    found = climbed(tmp_path, recipe, [snapshot(1, 7_000, 290), snapshot(2, 3_000, 290)], made, unanswered=missing)
    assert not found.held and len(found.attempts) == 1
    assert found.chosen.verdict.outcome == "fail"  # the size budget is decided all the same
    assert found.chosen.reason.endswith("Answers cannot be taken on the device's CPU, which no dearer rung would mend.")


def test_the_smallest_snapshot_is_tried_where_none_fits(tmp_path: Path, recipe: Recipe) -> None:
    made = {(2, "PTQ minmax"): (290, 12_000), (2, "QAT"): (290, 12_500)}
    found = climbed(tmp_path, recipe, [snapshot(1, 20_000, 290), snapshot(2, 11_000, 290)], made)
    assert not found.held and {index(attempt) for attempt in found.attempts} == {2}
    assert found.chosen.misses_resources_only

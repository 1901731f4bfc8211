"""The search: how it spends its two budgets, and its choice."""

import logging
from pathlib import Path
from typing import Any

import pytest

from deployments.recipe import Recipe
from model_compression.errors import QuantizationError
from tasks.selection import Climb
from tests.end_to_end.tiny.variants import QAT
from tests.tasks.climbing import climbed, recipe_of, snapshot

PTQ = {"kind": "ptq", "calibration": "minmax"}
MIXED = {"kind": "mixed", "calibration": "minmax", "at_most": 2, "tolerance": 0.01}
PERCENTILE = {"kind": "ptq", "calibration": "percentile"}
FLOAT = {"kind": "float"}
SNAPSHOTS = [snapshot(0, 9_000, 290), snapshot(1, 4_000, 288), snapshot(2, 2_000, 287), snapshot(3, 1_000, 200)]


def recipe(*rungs: dict[str, Any], objective: str = "size_bytes", files: int = 20, trainings: int = 1) -> Recipe:
    tiny = recipe_of([PTQ])
    device = tiny.devices[0].model_copy(update={"precisions": ("int8", "fp32")})
    search = {"objective": objective, "files": files, "trainings": trainings}
    return recipe_of(rungs, search=search, devices=[device.model_dump()])


def tried(found: Climb) -> list[tuple[int, str]]:
    return [(attempt.snapshot.index, attempt.rung.title) for attempt in found.attempts]  # type: ignore[union-attr]


def test_the_cheapest_rung_on_every_model_whose_float_answers_hold(tmp_path: Path) -> None:
    made = {(0, "PTQ minmax"): (290, 8_000), (1, "PTQ minmax"): (288, 4_500), (2, "PTQ minmax"): (287, 2_500)}
    found = climbed(tmp_path, recipe(PTQ), SNAPSHOTS, made)
    assert tried(found) == [(0, "PTQ minmax"), (1, "PTQ minmax"), (2, "PTQ minmax")]  # 3 fails in float
    assert found.held and found.chosen.snapshot.index == 2  # type: ignore[union-attr]
    assert found.why[0].startswith("Why PTQ minmax, parent: of 3 files that hold every gate on validation, out of 3")


@pytest.mark.parametrize(
    ("objective", "chosen"),
    [("size_bytes", (1, "PTQ minmax")), ("latency_p50_ms", (1, "FP32")), ("accuracy", (0, "FP32"))],
)
def test_the_objective_chooses_among_what_holds(tmp_path: Path, objective: str, chosen: tuple[int, str]) -> None:
    made = {
        (0, "FP32"): (290, 8_800, 3.0),
        (1, "FP32"): (288, 8_000, 1.0),
        (0, "PTQ minmax"): (289, 8_500, 2.5),
        (1, "PTQ minmax"): (287, 4_500, 2.0),
    }
    found = climbed(tmp_path, recipe(FLOAT, PTQ, objective=objective), SNAPSHOTS[:2], made)
    assert (found.chosen.snapshot.index, found.chosen.rung.title) == chosen  # type: ignore[union-attr]
    others = [sentence for sentence in found.why[1:] if "it holds too" in sentence]
    assert len(others) == 1 and others[0].startswith("Why not ")


def test_the_budget_of_files_ends_the_cheap_part(tmp_path: Path) -> None:
    made = {(0, "PTQ minmax"): (290, 8_000), (1, "PTQ minmax"): (288, 4_500)}
    found = climbed(tmp_path, recipe(PTQ, PERCENTILE, files=2), SNAPSHOTS, made)
    assert tried(found) == [(0, "PTQ minmax"), (1, "PTQ minmax")]


def test_the_other_cheap_rungs_begin_with_the_models_on_the_front(tmp_path: Path) -> None:
    made = {
        (0, "PTQ minmax"): (288, 8_000),  # model 1 is as accurate and smaller
        (1, "PTQ minmax"): (288, 4_500),
        (1, "PTQ percentile"): (288, 4_500),
    }
    found = climbed(tmp_path, recipe(PTQ, PERCENTILE, files=3), SNAPSHOTS[:2], made)
    assert tried(found)[2] == (1, "PTQ percentile")


def test_training_is_spent_on_what_would_be_the_best(tmp_path: Path) -> None:
    made = {
        (0, "PTQ minmax"): (290, 8_000),
        (1, "PTQ minmax"): (240, 4_500),  # loses too much
        (2, "PTQ minmax"): (230, 2_500),  # so does this one, and it is smaller
        (2, "QAT"): (250, 2_500),  # training does not save it
        (1, "QAT"): (288, 4_600),
    }
    found = climbed(tmp_path, recipe(PTQ, QAT, trainings=2), SNAPSHOTS, made)
    assert tried(found)[3:] == [(2, "QAT"), (1, "QAT")]
    assert (found.chosen.snapshot.index, found.chosen.rung.title) == (1, "QAT")  # type: ignore[union-attr]
    assert any(sentence.startswith("Why not PTQ minmax there: it misses accuracy") for sentence in found.why)


def test_what_misses_a_budget_is_not_trained_for_its_accuracy(tmp_path: Path) -> None:
    made = {(0, "PTQ minmax"): (290, 9_500), (1, "PTQ minmax"): (280, 4_500), (1, "QAT"): (288, 4_600)}
    found = climbed(tmp_path, recipe(PTQ, QAT, objective="accuracy", trainings=2), SNAPSHOTS[:2], made)
    assert tried(found)[2:] == [(1, "QAT")]


@pytest.mark.parametrize(("cheap", "title"), [(FLOAT, "FP32"), (MIXED, "mixed minmax")], ids=["float", "mixed"])
def test_training_is_tried_where_the_ladder_has_no_ptq(tmp_path: Path, cheap: dict[str, Any], title: str) -> None:
    made = {(0, title): (290, 8_900), (1, title): (288, 8_000), (1, "QAT"): (287, 4_600)}
    found = climbed(tmp_path, recipe(cheap, QAT), SNAPSHOTS[:2], made, expecting={0: (8_500,), 1: (4_500,)})
    assert tried(found) == [(0, title), (1, title), (1, "QAT")]
    assert (found.chosen.snapshot.index, found.chosen.rung.title) == (1, "QAT")  # type: ignore[union-attr]


def test_with_ptq_a_model_without_a_ptq_file_promises_nothing(tmp_path: Path) -> None:
    made = {(0, "PTQ minmax"): (290, 8_000)}
    found = climbed(tmp_path, recipe(PTQ, QAT, files=1), SNAPSHOTS[:2], made, expecting={1: (4_500,)})
    assert tried(found) == [(0, "PTQ minmax")]


def test_without_ptq_no_training_is_tried_that_is_expected_to_miss_a_budget(tmp_path: Path) -> None:
    made = {(0, "FP32"): (290, 8_900)}
    found = climbed(tmp_path, recipe(FLOAT, QAT, objective="accuracy"), SNAPSHOTS[:1], made, expecting={0: (9_500,)})
    assert tried(found) == [(0, "FP32")]


def test_nothing_is_trained_where_the_best_holds_already(tmp_path: Path) -> None:
    made = {(0, "PTQ minmax"): (240, 8_000), (1, "PTQ minmax"): (288, 4_500)}
    found = climbed(tmp_path, recipe(PTQ, QAT, trainings=3), SNAPSHOTS[:2], made)
    assert tried(found) == [(0, "PTQ minmax"), (1, "PTQ minmax")]


def test_where_nothing_holds_the_closest_goes_to_the_gates(tmp_path: Path) -> None:
    made = {(0, "PTQ minmax"): (200, 8_000), (1, "PTQ minmax"): (250, 4_500)}
    found = climbed(tmp_path, recipe(PTQ, trainings=0), SNAPSHOTS[:2], made)
    assert not found.held
    assert found.chosen.snapshot.index == 1  # type: ignore[union-attr]
    assert "none of 2 files holds every gate on validation" in found.why[0]


def test_where_every_model_fails_in_float_the_best_is_tried(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = {(2, "PTQ minmax"): (210, 4_500)}
    failing = [snapshot(1, 4_000, 200), snapshot(2, 3_000, 220)]
    with caplog.at_level(logging.INFO, logger="edgewright"):
        found = climbed(tmp_path, recipe(PTQ, trainings=0), failing, made)
    assert tried(found) == [(2, "PTQ minmax")] and not found.held
    told = [message for message in caplog.messages if "in float already" in message]
    assert len(told) == 1 and "files are made of the most accurate one (parent)" in told[0]
    assert found.why[0].startswith("Why PTQ minmax, parent: it is the only file that was tried; it misses accuracy")


def test_the_only_file_that_was_tried_is_said_to_be_that(tmp_path: Path) -> None:
    found = climbed(tmp_path, recipe(PTQ, trainings=0), SNAPSHOTS[:1], {(0, "PTQ minmax"): (290, 8_000)})
    assert found.why[0].startswith(
        "Why PTQ minmax, parent: the only file that was tried, and it holds every gate on validation, with "
    )


def test_a_rung_that_the_models_do_not_take_is_passed_over(tmp_path: Path) -> None:
    made = {(0, "PTQ minmax"): (290, 8_000), (1, "PTQ minmax"): (288, 4_500)}
    found = climbed(tmp_path, recipe(FLOAT, PTQ), SNAPSHOTS[:2], made, refusing={"FP32"})
    assert tried(found) == [(0, "PTQ minmax"), (1, "PTQ minmax")]
    assert found.why[-1] == "Passed over: FP32 is not for this model."


@pytest.mark.parametrize("search", [True, False])
def test_where_no_rung_is_taken_the_reason_is_the_error(tmp_path: Path, search: bool) -> None:
    asked = recipe(PTQ) if search else recipe_of([PTQ])
    with pytest.raises(QuantizationError, match="PTQ minmax is not for this model"):
        climbed(tmp_path, asked, SNAPSHOTS[:2], {}, refusing={"PTQ minmax"})

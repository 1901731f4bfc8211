"""The chosen file beside its float file: where latency matters, a slower one gives way to that."""

from pathlib import Path
from typing import Any

import pytest

from deployments.recipe import Recipe
from tasks.selection import Climb
from tests.tasks.climbing import Made, climbed, recipe_of, snapshot

PTQ = {"kind": "ptq", "calibration": "minmax"}
SLOWER: Made = {(0, "PTQ minmax"): (290, 4_000, 2.0), (0, "FP32"): (290, 8_000, 1.0)}
FASTER: Made = {(0, "PTQ minmax"): (290, 4_000, 1.0), (0, "FP32"): (290, 8_000, 2.0)}
TOO_LARGE: Made = {(0, "PTQ minmax"): (290, 4_000, 2.0), (0, "FP32"): (290, 12_000, 1.0)}
ALIKE: Made = {(0, "PTQ minmax"): (290, 4_000, 1.01), (0, "FP32"): (290, 8_000, 1.0)}


def recipe(
    objective: str | None = None, budget: float | None = None, precisions: tuple[str, ...] = ("int8", "fp32"),
    **changes: Any,
) -> Recipe:  # fmt: skip
    """The tiny recipe with PTQ alone, this objective of a search, and this budget of latency."""
    device = recipe_of([PTQ]).devices[0]
    budgets = device.budgets.model_copy(update={"latency_p50_ms": budget})
    device = device.model_copy(update={"precisions": precisions, "budgets": budgets})
    search = None if objective is None else {"objective": objective, "files": 9, "trainings": 0}
    return recipe_of([PTQ], search=search, devices=[device.model_dump()], **changes)


def chosen(folder: Path, asked: Recipe, made: Made, **changes: Any) -> tuple[str, Climb]:
    found = climbed(folder, asked, [snapshot(0, 2_000, 290)], made, **changes)
    return found.chosen.rung.title, found


@pytest.mark.parametrize(
    ("objective", "budget"),
    [("latency_p50_ms", None), ("latency_p50_ms", 5.0), (None, 5.0), ("accuracy", 5.0)],
    ids=["objective", "both", "budget", "accuracy within a budget"],
)
def test_a_slower_file_gives_way_to_its_float_file(tmp_path: Path, objective: str | None, budget: float | None) -> None:
    title, found = chosen(tmp_path, recipe(objective, budget), SLOWER)
    assert title == "FP32" and found.held
    assert found.why[0] == (
        "Why FP32, parent: it holds every gate on validation, and PTQ minmax is slower, with 2 ms a row against 1 ms "
        "of its float file, timed in turns."
    )
    assert found.why[1].startswith("Why not PTQ minmax there: it holds too, with ")
    assert [attempt.rung.title for attempt in found.attempts] == ["PTQ minmax", "FP32"]


@pytest.mark.parametrize(("made", "said"), [(FASTER, "1 ms"), (ALIKE, "1.01 ms")], ids=["faster", "alike"])
def test_a_file_that_is_not_slower_stays_and_the_times_are_told(tmp_path: Path, made: Made, said: str) -> None:
    title, found = chosen(tmp_path, recipe("latency_p50_ms"), made)
    assert title == "PTQ minmax"
    assert found.why[-1].startswith(f"It is not slower than float: {said} a row against ")


@pytest.mark.parametrize(
    "asked",
    [recipe("size_bytes", 5.0), recipe("peak_rss_mb", 5.0), recipe("accuracy"), recipe()],
    ids=["the smallest file", "the least memory", "the most accurate", "no latency"],
)
def test_who_asks_for_something_else_gets_that(tmp_path: Path, asked: Recipe) -> None:
    made = {(0, "PTQ minmax"): SLOWER[0, "PTQ minmax"]}  # a float file would be a KeyError
    title, found = chosen(tmp_path, asked, made)
    assert title == "PTQ minmax" and len(found.attempts) == 1


def test_a_device_without_float_gets_what_it_can_run(tmp_path: Path) -> None:
    made = {(0, "PTQ minmax"): SLOWER[0, "PTQ minmax"]}
    assert chosen(tmp_path, recipe("latency_p50_ms", precisions=("int8",)), made)[0] == "PTQ minmax"


def test_a_float_file_that_misses_a_gate_is_no_choice(tmp_path: Path) -> None:
    title, found = chosen(tmp_path, recipe("latency_p50_ms"), TOO_LARGE)
    assert title == "PTQ minmax"
    assert found.why[-1] == "Its float file is no choice, because it misses file size budget."


def test_a_machine_that_is_too_busy_changes_no_choice(tmp_path: Path) -> None:
    title, found = chosen(tmp_path, recipe("latency_p50_ms"), SLOWER, is_busy=True)
    assert title == "PTQ minmax"
    assert found.why[-1].startswith("Whether its float file is faster is not known")


@pytest.mark.parametrize(
    ("made", "said"),
    [(SLOWER, "It is slower than float: 2 ms"), (FASTER, "It is not slower than float: 1 ms")],
    ids=["slower", "faster"],
)
def test_the_times_of_a_file_with_a_note_are_told_whoever_asks(tmp_path: Path, made: Made, said: str) -> None:
    note = "Recurrent layers: 1 LSTM in integers, by the range of each call."
    title, found = chosen(tmp_path, recipe("size_bytes"), made, note=note)
    assert title == "PTQ minmax" and len(found.attempts) == 1
    assert found.why[-2].startswith(said) and found.why[-1] == note


def test_what_holds_no_gate_is_not_timed(tmp_path: Path) -> None:
    made = {(0, "PTQ minmax"): (100, 4_000, 2.0)}
    title, found = chosen(tmp_path, recipe("latency_p50_ms"), made)
    assert title == "PTQ minmax" and not found.held

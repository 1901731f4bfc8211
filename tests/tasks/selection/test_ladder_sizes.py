"""Ladders against budgets of bytes: a costlier rung may make a smaller file; no training begins that cannot."""

from pathlib import Path
from typing import Any

import pytest

from deployments.recipe import Recipe, read_recipe
from deployments.rungs import AsItIs, Half
from tasks.compression import Baseline, Snapshot
from tests.end_to_end.tiny.variants import QAT
from tests.flows.conftest import TINY
from tests.tasks.climbing import BUDGET, GRAPH, climbed, index, recipe_of, snapshot

FLOAT: dict[str, Any] = {"kind": "float"}
HALF: dict[str, Any] = {"kind": "fp16"}
PTQ: dict[str, Any] = {"kind": "ptq", "calibration": "minmax"}
ENTROPY: dict[str, Any] = {"kind": "ptq", "calibration": "entropy"}
IN_FLOAT: dict[str, Any] = PTQ | {"float_where_faster": True}
DYNAMIC: dict[str, Any] = {"kind": "dynamic"}
INT4: dict[str, Any] = {"kind": "int4", "block_size": 32}
MIXED: dict[str, Any] = {"kind": "mixed", "calibration": "minmax", "at_most": 1, "tolerance": 0.1}
PRECISIONS = ("fp32", "fp16", "int8", "int4")
SIZES = {
    "FP32": 30_000, "FP16": 15_000, "dynamic": 12_000, "INT4 in blocks of 32": 20_000, "PTQ minmax": 8_000,
    "PTQ entropy": 8_010, "PTQ minmax, float where faster": 9_400, "mixed minmax": 9_500, "QAT": 7_900,
}  # fmt: skip
LARGE = {title: size + 1_500 for title, size in SIZES.items()}
RIGHT, WRONG = 289, 240


def on_any_device(ladder: list[dict[str, Any]]) -> Recipe:
    """The tiny recipe with this ladder, for a device of every precision."""
    (device,) = read_recipe(TINY / "recipes" / "tiny.yaml").devices
    return recipe_of(ladder, devices=[device.model_copy(update={"precisions": PRECISIONS}).model_dump()])


def tried(
    folder: Path, ladder: list[dict[str, Any]], sizes: dict[str, int] = SIZES, right: dict[str, int] | None = None,
    expected: int = SIZES["PTQ minmax"],
) -> tuple[list[str], bool]:  # fmt: skip
    """The rungs that were tried on one snapshot whose float answers hold, and whether one holds."""
    made = {(1, title): ((right or {}).get(title, RIGHT), size) for title, size in sizes.items()}
    found = climbed(folder, on_any_device(ladder), [snapshot(1, 7_000, 290)], made, expecting={1: (expected,)})
    return [attempt.rung.title for attempt in found.attempts], found.held


@pytest.mark.parametrize(
    ("ladder", "titles"),
    [
        ([FLOAT, PTQ], ["FP32", "PTQ minmax"]),
        ([HALF, PTQ], ["FP16", "PTQ minmax"]),
        ([FLOAT, HALF, PTQ], ["FP32", "FP16", "PTQ minmax"]),
        ([DYNAMIC, PTQ], ["dynamic", "PTQ minmax"]),
        ([INT4, PTQ], ["INT4 in blocks of 32", "PTQ minmax"]),
        ([FLOAT, INT4, DYNAMIC, PTQ], ["FP32", "INT4 in blocks of 32", "dynamic", "PTQ minmax"]),
        ([IN_FLOAT, PTQ], ["PTQ minmax, float where faster", "PTQ minmax"]),
        ([FLOAT, QAT], ["FP32", "QAT"]),
        ([HALF, QAT], ["FP16", "QAT"]),
        ([INT4, QAT], ["INT4 in blocks of 32", "QAT"]),
        ([MIXED, QAT], ["mixed minmax", "QAT"]),
        ([QAT], ["QAT"]),
    ],
    ids=lambda value: ", ".join(str(each["kind"]) for each in value) if isinstance(value[0], dict) else "",
)
def test_a_costlier_rung_that_is_smaller_is_tried(tmp_path: Path, ladder: list[Any], titles: list[str]) -> None:
    assert tried(tmp_path, ladder) == (titles, True)


@pytest.mark.parametrize(
    ("ladder", "titles"),
    [
        ([PTQ, QAT], ["PTQ minmax"]),
        ([PTQ, ENTROPY, MIXED, QAT], ["PTQ minmax"]),
        ([FLOAT, PTQ, QAT], ["FP32", "PTQ minmax"]),
        ([FLOAT, QAT], ["FP32"]),
        ([HALF, MIXED, QAT], ["FP16"]),
        ([FLOAT, HALF], ["FP32", "FP16"]),
        ([FLOAT, DYNAMIC, QAT], ["FP32", "dynamic"]),
    ],
    ids=lambda value: ", ".join(str(each["kind"]) for each in value) if isinstance(value[0], dict) else "",
)
def test_a_rung_that_is_known_to_be_too_large_is_not(tmp_path: Path, ladder: list[Any], titles: list[str]) -> None:
    assert tried(tmp_path, ladder, LARGE, expected=LARGE["PTQ minmax"]) == (titles, False)


def test_what_is_tried_next_is_said_and_so_is_why_nothing_is(tmp_path: Path) -> None:
    recipe = on_any_device([FLOAT, PTQ, QAT])
    made = {(1, title): (RIGHT, size) for title, size in LARGE.items()}
    found = climbed(tmp_path, recipe, [snapshot(1, 7_000, 290)], made, expecting={1: (LARGE["PTQ minmax"],)})
    assert found.attempts[0].reason.endswith("Next rung: PTQ minmax.")
    assert found.attempts[1].reason.endswith("a dearer rung makes none smaller, so none is tried.")


def test_accuracy_that_float_keeps_and_cheap_rungs_lose_leads_to_training(tmp_path: Path) -> None:
    wrong = {"dynamic": WRONG, "FP16": WRONG}
    assert tried(tmp_path, [DYNAMIC, QAT], right=wrong) == (["dynamic", "QAT"], True)
    assert tried(tmp_path, [HALF, QAT], right=wrong) == (["FP16", "QAT"], True)


def test_snapshots_are_chosen_by_what_the_ladder_can_make(tmp_path: Path) -> None:
    counts = [16_000, 4_000, 2_000]
    snapshots = [Snapshot(i, f"{i}", None, count, count, 1.0, Path("290"), 0.0) for i, count in enumerate(counts)]
    made = {
        (0, "INT4 in blocks of 32"): (RIGHT, 8_900), (1, "FP16"): (RIGHT, 8_800), (2, "FP32"): (RIGHT, 8_700),
        (1, "PTQ minmax"): (RIGHT, 5_200),
    }  # fmt: skip
    for rung, chosen in ((INT4, 0), (HALF, 1), (FLOAT, 2), (PTQ, 1)):
        found = climbed(tmp_path, on_any_device([rung]), snapshots, made)
        assert found.held and [index(attempt) for attempt in found.attempts] == [chosen]


def test_the_least_size_is_that_of_the_smallest_rung(tmp_path: Path) -> None:
    baseline = Baseline(Snapshot.original("0" * 64, 1, 1, 0.9, tmp_path), tmp_path, GRAPH)
    model = Snapshot(1, "1", None, 1_000, 1_010, 1.0, tmp_path, 0.0)
    float_rung, half = AsItIs(kind="float"), Half(kind="fp16")
    ptq = recipe_of([PTQ]).ladder[0]
    assert baseline.least_bytes(model, [float_rung]) == 4_000
    assert baseline.least_bytes(model, [float_rung, half]) == 2_000
    assert baseline.least_bytes(model, [half, ptq]) == 2_000
    assert baseline.least_bytes(model, [float_rung, ptq]) == 1_010 + GRAPH < BUDGET

import dataclasses

import numpy as np
import pandas as pd
import pytest

from quality_gates.errors import EvidenceError, PolicyError
from quality_gates.evidence import SliceIndex, in_slice
from quality_gates.gates import check_slices
from quality_gates.policy import SliceCondition
from tests.quality_gates.builders import against, eights, limit, policy, rows
from tests.quality_gates.gates.every_kind import good, held


def _slice(column: str, equals: str | int | float | bool) -> SliceCondition:
    return SliceCondition(column=column, equals=equals)


def test_without_a_condition_every_row_counts() -> None:
    assert in_slice(rows(7), None).all()


def test_a_slice_is_the_rows_with_its_value() -> None:
    assert np.flatnonzero(in_slice(rows(30), _slice("label", 8))).tolist() == [8, 18, 28]
    assert in_slice(rows(30), _slice("label", 8.0)).sum() == 3
    assert in_slice(rows(30), _slice("site", "north")).sum() == 15
    categories = rows(30).astype({"site": "category"})
    assert in_slice(categories, _slice("site", "north")).sum() == 15


def test_truth_values_are_no_numbers() -> None:
    frame = rows(10).assign(night=rows(10)["label"] == 1)
    assert in_slice(frame, _slice("night", True)).sum() == 1
    for condition in (_slice("night", 1), _slice("label", True)):
        with pytest.raises(EvidenceError, match="No row has"):
            in_slice(frame, condition)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (
            _slice("sensor", 3),
            "No column 'sensor' in the measured rows, which have row_id, prediction, score, label, site",
        ),
        (_slice("label", 12), "No row has label = 12; it holds 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"),
        (_slice("label", "8"), "No row has label = '8'; it holds 0, 1"),
        (_slice("row_id", -1), "and 20 more"),
    ],
)
def test_a_slice_that_finds_nothing_says_what_there_is(condition: SliceCondition, message: str) -> None:
    with pytest.raises(EvidenceError, match=message):
        in_slice(rows(30), condition)


def test_a_gap_in_the_slice_column_is_refused() -> None:
    frame = rows(30)
    frame.loc[[4, 5], "site"] = None
    with pytest.raises(EvidenceError, match="2 of 30 rows have no site"):
        in_slice(frame, _slice("site", "north"))


def test_slices_are_checked_before_training() -> None:
    columns = rows(30)[["label", "site"]]
    check_slices(policy(against(), eights(), limit()), columns)
    with pytest.raises(PolicyError, match="Gate 'eights_deployed': No row has label = 8"):
        check_slices(policy(against(), eights()), columns[columns["label"] != 8])
    with pytest.raises(PolicyError, match="No column 'label'"):
        check_slices(policy(eights()), pd.DataFrame({"site": ["north"]}))


@pytest.mark.parametrize("split", ["validation", "test"])
def test_the_remedy_of_a_gate_names_the_split_that_was_looked_at(split: str) -> None:
    condition = {"column": "site", "equals": "nowhere"}
    gate = {"kind": "non_inferiority", "metric": "accuracy", "against": "parent", "margin": 0.1, "confidence": 0.95}
    result = held(gate | {"slice": condition}, dataclasses.replace(good(), split=split))
    assert result.outcome == "fail"
    assert result.remedy == f"Correct the `slice` in the recipe, or add such rows to the {split} split."


def test_groups_are_values_of_one_name() -> None:
    column = pd.Series([1, "1", "M1", "M1 ", "m1", 1.0, "M2"], dtype=object)
    codes = SliceIndex(pd.DataFrame({"part": column})).groups("part")
    assert [list(np.flatnonzero(codes == code)) for code in dict.fromkeys(codes)] == [[0, 1, 5], [2, 3], [4], [6]]


def of_task(name: str, *parts: SliceCondition) -> SliceCondition:
    return SliceCondition(all=(_slice("task", name), *parts))


def of_two_tasks() -> pd.DataFrame:
    """Rows of a family: only those of the first task have a site, those of the second a number as their label."""
    frame = rows(8).assign(
        task=["class", "angle"] * 4, site=pd.Series(["north", None, "south", None] * 2, dtype=object)
    )
    frame["label"] = pd.Series(["shirt", 30, "shirt", 60, "bag", 30, "bag", 90], dtype=object)
    return frame


def test_what_rows_of_another_task_lack_does_not_count() -> None:
    frame = of_two_tasks()
    assert np.flatnonzero(in_slice(frame, of_task("class", _slice("site", "north")))).tolist() == [0, 4]
    swapped = SliceCondition(all=(_slice("site", "north"), _slice("task", "class")))
    assert np.flatnonzero(in_slice(frame, swapped)).tolist() == [0, 4]
    above = SliceCondition(column="label", above=45.0)
    assert np.flatnonzero(in_slice(frame, of_task("angle", above))).tolist() == [3, 7]


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (of_task("angle", _slice("site", "north")), "4 of 4 rows have no site"),
        (of_task("class", SliceCondition(column="label", above=45.0)), "The column label holds 'shirt', 'bag'; bounds"),
        (of_task("class", _slice("sensor", 3)), "No column 'sensor' in the measured rows, which have row_id"),
        (of_task("class", _slice("site", "west")), "No row has site = 'west'"),
        (of_task("depth", _slice("site", "north")), "No row has task = 'depth'"),
    ],
)
def test_what_rows_of_the_same_task_lack_is_refused(condition: SliceCondition, message: str) -> None:
    with pytest.raises(EvidenceError, match=message):
        in_slice(of_two_tasks(), condition)

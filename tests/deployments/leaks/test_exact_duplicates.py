"""Rows that two splits share are found by their content, every time, and refused unless the workload says why."""

from typing import cast

import numpy as np
import pandas as pd
import pytest

from deployments.errors import ConfigurationError
from deployments.leaks import check_shared_rows, exact_duplicates, rows_not_in, shared_rows
from deployments.leaks.exact_duplicates import LEAKS
from deployments.rows import SPLITS, Split, SplitName

SIZES = {"train": 50, "calibration": 12, "validation": 20, "test": 30}


def split(*inputs: np.ndarray) -> Split:
    rows = len(inputs[0])
    return Split(inputs, np.zeros(rows, dtype=np.int64), pd.DataFrame({"label": [0] * rows}))


def splits(seed: int = 0) -> dict[SplitName, Split]:
    """Four splits of rows of their own; calibration rows are the first training rows."""
    random = np.random.default_rng(seed)
    made = {name: random.normal(size=(SIZES[name], 2, 3)).astype(np.float32) for name in SPLITS}
    made["calibration"] = made["train"][: SIZES["calibration"]]
    return {name: split(rows) for name, rows in made.items()}


def planted(making: SplitName, judging: SplitName, places: dict[int, int]) -> dict[SplitName, Split]:
    """Splits in which rows of `judging` are copies of rows of `making`: {row of judging: row of making}."""
    found = splits()
    for row, other in places.items():
        found[judging].inputs[0][row] = found[making].inputs[0][other]
    return found


def refused(found: dict[SplitName, Split], why: str | None = None) -> str:
    with pytest.raises(ConfigurationError) as caught:
        check_shared_rows(shared_rows(found), why)
    return str(caught.value)


def test_rows_of_their_own_are_accepted_and_calibration_rows_may_be_training_rows() -> None:
    found = splits()
    assert [(each.making, each.judging, each.rows) for each in shared_rows(found)] == [("train", "calibration", 12)]
    check_shared_rows(shared_rows(found), None)


@pytest.mark.parametrize(
    ("making", "judging"),
    [("train", "test"), ("validation", "test"), ("calibration", "test"), ("train", "validation")],
)
def test_a_planted_row_is_found_with_its_numbers_and_refused(making: SplitName, judging: SplitName) -> None:
    message = refused(planted(making, judging, {7: 3, 19: 11}))
    assert f"2 of {SIZES[judging]} {judging} rows in {making} " in message
    assert f"({judging} row 7 is {making} row 3, {judging} row 19 is {making} row 11)" in message
    assert message.endswith("or say why in the workload's `shared_rows`")


def test_a_reason_lets_them_pass() -> None:
    found = planted("train", "test", {0: 0})
    check_shared_rows(shared_rows(found), "a sensor has few values")


def test_calibration_rows_of_validation_are_no_error() -> None:
    found = planted("calibration", "validation", {0: 0})
    found["train"] = split(found["train"].inputs[0][12:])
    check_shared_rows(shared_rows(found), None)
    assert [each.rows for each in shared_rows(found)] == [1]


REASON = "they are all there are"


def test_four_identical_splits_are_refused_whatever_the_reason() -> None:
    found = cast(dict[SplitName, Split], dict.fromkeys(SPLITS, splits()["test"]))
    message = refused(found, REASON)
    assert "got 30 of 30 validation rows in train (" in message and message.count("30 of 30 ") == 2
    assert message.endswith("; and so in 2 further pairs of splits; divide the rows in Workload.split, no reason makes "
                            "such a split show anything")  # fmt: skip


@pytest.mark.parametrize(("making", "judging"), sorted(LEAKS))
@pytest.mark.parametrize("times", [1, 2])
def test_two_splits_of_the_same_rows_are_refused_however_often_each_is_there(
    making: SplitName, judging: SplitName, times: int
) -> None:
    found, rows = splits(), splits()[judging].inputs[0]
    found[making] = split(np.concatenate([rows, *[rows[:1]] * (times - 1)]))
    if making == "train":
        found["calibration"] = split(splits(seed=1)["train"].inputs[0][:12])
    assert "no reason makes such a split show anything" in refused(found, REASON)


@pytest.mark.parametrize(("rows", "counts"), [(26, True), (27, False)])
def test_a_test_of_nearly_nothing_but_training_rows_is_refused_whatever_the_reason(rows: int, counts: bool) -> None:
    found = planted("train", "test", {row: row + 12 for row in range(rows)})
    if counts:
        check_shared_rows(shared_rows(found), REASON)
    else:
        assert "got 27 of 30 test rows in train" in refused(found, REASON)


def test_validation_rows_of_train_need_a_reason_alone() -> None:
    found = planted("train", "validation", {row: row + 12 for row in range(20)})
    check_shared_rows(shared_rows(found), REASON)
    assert "20 of 20 validation rows in train" in refused(found)


def test_calibration_that_is_the_test_is_refused() -> None:
    found = splits()
    found["calibration"] = found["test"]
    assert "30 of 30 test rows in calibration" in refused(found)


def test_all_inputs_of_a_row_count_together() -> None:
    found = {name: split(rows.inputs[0], rows.inputs[0][:, 0].copy()) for name, rows in splits().items()}
    found["test"].inputs[0][0] = found["train"].inputs[0][40]
    check_shared_rows(shared_rows(found), None)
    found["test"].inputs[1][0] = found["train"].inputs[1][40]
    assert "1 of 30 test rows in train (test row 0 is train row 40)" in refused(found)


def test_the_targets_do_not_make_a_row_another_one() -> None:
    found = planted("train", "test", {0: 20})
    found["test"].targets[0] = 5
    assert "1 of 30 test rows in train" in refused(found)


def test_equal_values_are_the_same_row_however_they_are_stored() -> None:
    values = np.array([[0.0, np.nan, 1.5], [2.0, 3.0, 4.0]], dtype=np.float32)
    other = np.asfortranarray(np.array([[-0.0, -np.nan, 1.5], [2.0, 3.0, 5.0]], dtype=">f4"))
    assert rows_not_in((values,), (other,)).tolist() == [False, True]


@pytest.mark.parametrize("kind", [np.float64, np.int64, np.uint8, np.float16, ">f4", np.longdouble])
def test_numbers_of_another_type_are_the_same_row_where_their_values_are(kind: str) -> None:
    rows = np.array([[1, 2], [0, 250]], dtype=np.float32)
    assert not rows_not_in((rows.astype(kind),), (rows,)).any()
    assert rows_not_in((rows[:1] + np.float32(0.5),), (rows.astype(kind),)).all()


def test_values_that_another_type_cannot_hold_are_told_apart() -> None:
    large = np.array([[2**53], [2**53 + 1]], dtype=np.int64)
    assert rows_not_in((large[1:],), (large[:1],)).all()
    assert rows_not_in((large.astype(np.float64),), (large,)).tolist() == [False, False]
    tenth = np.array([[0.1]])
    assert rows_not_in((tenth,), (tenth.astype(np.float32),)).all()
    assert rows_not_in((np.array([[1e300]]),), (np.array([[np.inf]], np.float32),)).all()


def test_rows_are_read_in_parts_as_they_are_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = splits()["train"].inputs[0]
    whole = list(exact_duplicates.row_digests((rows,)))
    monkeypatch.setattr(exact_duplicates, "_AT_ONCE", 20)
    assert list(exact_duplicates.row_digests((rows,))) == whole


def test_every_copy_of_a_row_counts() -> None:
    found = planted("train", "test", {3: 30, 4: 30, 5: 30})
    (_, leak) = shared_rows(found)
    assert leak.rows == 3 and leak.examples == ((3, 30), (4, 30), (5, 30))


@pytest.mark.parametrize("seed", range(5))
def test_planted_rows_are_found_every_time(seed: int) -> None:
    random, found = np.random.default_rng(seed), splits(seed)
    rows = np.sort(random.choice(30, 6, replace=False))
    found["test"].inputs[0][rows] = found["train"].inputs[0][random.choice(np.arange(12, 50), 6)]
    leak = next(each for each in shared_rows(found) if each.is_leak)
    assert (leak.rows, [row for row, _ in leak.examples]) == (6, rows[:3].tolist())

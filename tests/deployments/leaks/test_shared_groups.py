"""Rows that belong together are in one split alone, as what is learned of one of them is known of the others."""

import numpy as np
import pandas as pd
import pytest

from deployments.errors import ConfigurationError
from deployments.leaks import check_groups
from deployments.rows import Split, SplitName

APART: dict[SplitName, list[object]] = {
    "train": ["a", "a", "b"],
    "calibration": ["a", "b"],
    "validation": ["c", "d"],
    "test": ["e", "e", "f"],
}


def splits(**changed: list[object]) -> dict[SplitName, Split]:
    return {
        name: Split((np.zeros((len(kept), 1)),), np.zeros(len(kept)), pd.DataFrame({"part": kept}))
        for name, kept in {name: changed.get(name, values) for name, values in APART.items()}.items()
    }


def test_groups_in_one_split_each_are_accepted_and_calibration_may_have_those_of_train() -> None:
    check_groups(splits(), "part")
    check_groups(splits(test=["a", "e"]), None)


def test_a_shared_group_is_named_with_its_rows() -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_groups(splits(test=["e", "b", "b", "c"]), "part")
    message = str(caught.value)
    assert message.startswith("expected every part, which is the workload's `group`, in one split alone, got ")
    assert "1 in train and test, with 2 of 4 test rows (b: train row 2, test row 1)" in message
    assert message.endswith("; and so in 1 further pair of splits; divide the rows by their groups in Workload.split")


@pytest.mark.parametrize("name", ["train", "validation", "test"])
def test_a_row_without_a_group_is_refused(name: str) -> None:
    with pytest.raises(
        ConfigurationError, match=f"split `{name}`: expected a part of every row, .*none in 1 of 2 rows"
    ):
        values: list[object] = ["z", None]
        check_groups(splits(**{name: values}), "part")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [(1, "1", True), (1.0, 1, True), ("M1", "M1 ", True), ("m1", "M1", False), (True, 1, False), (1.5, "1.5", True)],
)
def test_groups_are_told_apart_by_their_text(one: object, other: object, same: bool) -> None:
    found = splits(train=[one, "a"], test=[other, "e"])
    if not same:
        check_groups(found, "part")
        return
    with pytest.raises(ConfigurationError, match=r"1 in train and test, with 1 of 2 test rows"):
        check_groups(found, "part")


@pytest.mark.parametrize("value", [["a"], ("a", "b"), np.array([1, 2]), {"a": 1}], ids=repr)
def test_a_group_of_several_parts_is_refused(value: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_groups(splits(test=["e", value]), "part")
    message = str(caught.value)
    assert "split `test`: expected a text or a number as the part of every row, which is the workload's" in message
    assert message.endswith(f"got a {type(value).__name__} in row 1; give each row the name of its group")


def test_many_shared_groups_are_a_short_sentence() -> None:
    shared: list[object] = [f"machine {number}" for number in range(40)]
    with pytest.raises(ConfigurationError) as caught:
        check_groups(splits(train=shared, calibration=shared, validation=shared, test=shared), "part")
    message = str(caught.value)
    assert "40 in train and validation, with 40 of 40 validation rows (machine 0: train row 0, " in message
    assert message.endswith("; and so in 3 further pairs of splits; divide the rows by their groups in Workload.split")
    assert len(message) < 450

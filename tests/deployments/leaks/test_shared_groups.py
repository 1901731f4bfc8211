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
    assert "1 in validation and test, with 1 of 4 test rows (c: validation row 0, test row 3)" in message
    assert message.endswith("divide the rows by their groups in Workload.split")


@pytest.mark.parametrize("name", ["train", "validation", "test"])
def test_a_row_without_a_group_is_refused(name: str) -> None:
    with pytest.raises(
        ConfigurationError, match=f"split `{name}`: expected a part of every row, .*none in 1 of 2 rows"
    ):
        values: list[object] = ["z", None]
        check_groups(splits(**{name: values}), "part")

"""Rows of families: the same inputs once in training, one row for each task in validation and test."""

import numpy as np
import pandas as pd

from deployments.families.joint_rows import rows_once
from deployments.workload import read_splits
from tests.deployments.families.different_tasks import ROWS, family, images

FIRST_OF_MEAN = 6


def test_rows_that_all_members_have_are_not_copied() -> None:
    rows = images("train", 0, 5)
    (once,), places = rows_once([(rows,), (rows.copy(),)])
    assert once is rows
    assert [each.tolist() for each in places] == [[0, 1, 2, 3, 4]] * 2


def test_rows_with_the_same_inputs_are_one_row() -> None:
    (once,), places = rows_once([(images("train", 0, 4),), (images("train", 2, 4),)])
    np.testing.assert_array_equal(once, images("train", 0, 6))
    assert [each.tolist() for each in places] == [[0, 1, 2, 3], [2, 3, 4, 5]]


def test_a_row_that_a_member_has_twice_stays_two_rows() -> None:
    twice = images("train", 0, 2)[[0, 1, 0]]
    (once,), places = rows_once([(twice,), (images("train", 0, 1),)])
    assert len(once) == 3
    assert [each.tolist() for each in places] == [[0, 1, 2], [0]]


def test_several_inputs_are_one_row_where_all_of_them_are_the_same() -> None:
    first, second = images("train", 0, 2), images("train", 2, 2)
    once, places = rows_once([(first, second), (first, second[[0, 0]])])
    assert [len(each) for each in once] == [3, 3]
    assert [each.tolist() for each in places] == [[0, 1], [0, 2]]


def test_training_rows_have_the_targets_of_the_tasks_that_know_them() -> None:
    workload = family()
    train = read_splits(workload)["train"]
    assert len(train) == ROWS["train"] + FIRST_OF_MEAN + 4
    known = {name: len(targets) for name, _, targets in workload.known_targets(train.targets)}
    assert known == {"bright": 24, "mean": 28, "masks": 24}
    both = ~np.isnan(train.targets[:, :2]).any(axis=1)
    assert both.sum() == ROWS["train"] - FIRST_OF_MEAN
    np.testing.assert_allclose(train.targets[both, 1], train.inputs[0][both].mean(axis=(1, 2, 3)), rtol=1e-6)


def test_targets_come_back_in_the_form_of_each_member() -> None:
    workload = family()
    test = read_splits(workload)["test"]
    for (name, own, targets), member in zip(workload.known_targets(test.targets), workload.of_models, strict=True):
        truth = member.split("test").targets
        assert own is member and targets.dtype == truth.dtype, name
        np.testing.assert_array_equal(targets, truth)


def test_a_test_row_asks_one_task_and_has_its_slices() -> None:
    test = read_splits(family())["test"]
    assert test.slices["task"].value_counts().to_dict() == {"mean": 20, "bright": 16, "masks": 16}
    assert set(test.slices["task"][:3]) == {"bright", "mean", "masks"}  # any few rows have rows of all tasks
    asked = test.slices[test.slices["task"] == "bright"]
    assert asked["label"].tolist()[:4] == ["left", "right", "none", "left"]
    assert asked["size"].isna().all()
    np.testing.assert_array_equal(test.inputs[0][asked.index], images("test", 0, 16))


def test_training_rows_ask_each_task_that_knows_them() -> None:
    workload = family()
    train = read_splits(workload)["train"]
    rows, targets = workload.questions(train)
    assert len(rows) == len(targets) == 24 + 28 + 24
    masks = rows[rows["task"] == "masks"]
    assert masks["label"].tolist() == list(range(24))
    asked = np.flatnonzero(rows["task"] == "bright")
    right = workload.right_answers(targets[asked])
    assert right is not None and right.tolist() == rows["label"].to_numpy()[asked].tolist()


def test_validation_rows_are_their_own_questions() -> None:
    workload = family()
    validation = read_splits(workload)["validation"]
    rows, targets = workload.questions(validation)
    pd.testing.assert_frame_equal(rows, validation.slices)
    assert targets is validation.targets

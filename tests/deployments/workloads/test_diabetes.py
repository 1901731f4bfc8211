"""The table of diabetes patients: splits of a regression without shared rows, and slices over two columns."""

import numpy as np
import pytest

from deployments.workload import check_leaks, read_splits
from deployments.workloads.diabetes import COLUMNS, Diabetes
from quality_gates.evidence import SliceIndex
from quality_gates.policy import SliceCondition


def test_every_patient_is_in_one_split() -> None:
    workload = Diabetes()
    splits = read_splits(workload)
    assert not [each for each in check_leaks(workload, splits) if each.is_leak]
    assert sum(len(splits[name]) for name in ("train", "validation", "test")) == 442
    assert splits["train"].inputs[0].shape[1] == len(COLUMNS)


def test_values_are_spreads_around_the_mean_of_training() -> None:
    train = Diabetes().split("train").inputs[0]
    assert train.mean(axis=0) == pytest.approx(0, abs=1e-5) and train.std(axis=0) == pytest.approx(1, abs=1e-5)


def test_a_slice_over_two_columns_has_rows_to_judge() -> None:
    test = Diabetes().split("test")
    condition = SliceCondition.model_validate(
        {"all": [{"column": "bmi", "from": 27.0}, {"column": "age", "from": 45.0}]}
    )
    mask = SliceIndex(test.slices).mask(condition)
    assert np.array_equal(mask, (test.slices["bmi"] >= 27) & (test.slices["age"] >= 45)) and mask.sum() == 37

"""The digits workload: who is in which split, and that it stays so."""

from itertools import combinations

import numpy as np
import pytest
import torch

from deployments.workload import SPLITS, SplitName, read_splits
from deployments.workloads.digits import RARE_DIGIT, RARE_TRAINING_IMAGES, Digits


@pytest.fixture(scope="module")
def digits() -> Digits:
    return Digits()


def test_training_has_13_eights(digits: Digits) -> None:
    labels = digits.targets[digits.rows["train"]]
    assert int((labels == RARE_DIGIT).sum()) == RARE_TRAINING_IMAGES == 13
    others = np.bincount(labels[labels != RARE_DIGIT], minlength=10)
    assert others[others > 0].min() > 5 * RARE_TRAINING_IMAGES


def test_no_row_is_in_two_of_training_validation_and_test(digits: Digits) -> None:
    judged: tuple[SplitName, ...] = ("train", "validation", "test")
    for one, other in combinations(judged, 2):
        assert not set(digits.rows[one]) & set(digits.rows[other])
    assert sum(len(digits.rows[name]) for name in judged) == 1797
    assert all(len(set(digits.rows[name])) == len(digits.rows[name]) for name in judged)


def test_calibration_rows_are_training_rows(digits: Digits) -> None:
    assert set(digits.rows["calibration"]) <= set(digits.rows["train"])


def test_the_critical_slice_is_large_enough_to_judge(digits: Digits) -> None:
    for name in ("validation", "test"):
        assert int((digits.split(name).slices["label"] == RARE_DIGIT).sum()) >= 60


def test_every_call_gives_the_same_rows(digits: Digits) -> None:
    other = Digits()
    for name in SPLITS:
        assert digits.split(name).digest == digits.split(name).digest == other.split(name).digest


def test_images_are_float32_in_0_to_1_and_fit_the_models_input(digits: Digits) -> None:
    for split in read_splits(digits).values():
        (images,) = split.inputs
        assert images.dtype == np.float32
        assert images.shape[1:] == (1, 8, 8)
        assert images.min() >= 0
        assert images.max() <= 1 + 1e-6
        assert split.targets.dtype == np.int64


def test_training_adds_jittered_copies_behind_the_originals(digits: Digits) -> None:
    split = digits.split("train")
    originals = digits.images[digits.rows["train"]]
    count = len(originals)
    np.testing.assert_array_equal(split.inputs[0][:count], originals)
    np.testing.assert_array_equal(split.targets[:count], digits.targets[digits.rows["train"]])
    copies = split.inputs[0][count : 2 * count]
    np.testing.assert_array_equal(split.targets[count : 2 * count], split.targets[:count])
    assert (np.abs(copies - originals).reshape(count, -1).max(axis=1) > 0).mean() > 0.99


def test_the_rare_digit_is_shown_more_often_than_it_was_collected(digits: Digits) -> None:
    collected = RARE_TRAINING_IMAGES / len(digits.rows["train"])
    assert (digits.split("train").targets == RARE_DIGIT).mean() > 2 * collected


def test_the_loss_is_a_number_that_falls_with_the_mistake(digits: Digits) -> None:
    targets = torch.tensor([RARE_DIGIT, 3])
    wrong, right = torch.zeros(2, 10), torch.zeros(2, 10)
    wrong[:, 0] = 5.0
    right[torch.arange(2), targets] = 5.0
    assert digits.loss(wrong, targets).shape == ()
    assert digits.loss(wrong, targets) > digits.loss(right, targets)

"""The meaning of outputs beside right answers: masks with what counts nowhere, boxes with their cells, and neither."""

import numpy as np
import pytest

from deployments.errors import ConfigurationError
from flows.first_files.output_meaning import OutputMeaning, meaning_of
from tests.flows import boxes

IMAGES = np.zeros((4, 1, 8, 8), np.float32)


def masks(*numbers: int) -> np.ndarray:
    return np.array([[[numbers[(row + column) % len(numbers)] for column in range(8)] for row in range(8)]] * 4)


@pytest.mark.parametrize(
    ("channels", "targets", "ignored"),
    [
        (3, masks(0, 1, 2), None),
        (1, masks(0, 1), None),
        (1, masks(0, 1, 255), 255),
        (3, masks(0, 2, 255), 255),
        (2, masks(-1, 0, 1), -1),
        (2, masks(0, 1, 7, 9), None),  # two numbers that no class has: the checks of rows say what is wrong
    ],
)
def test_whole_numbers_at_each_pixel_are_masks(channels: int, targets: np.ndarray, ignored: int | None) -> None:
    found = meaning_of((IMAGES,), np.zeros((4, channels, 8, 8)), targets, None)
    assert found == OutputMeaning("segmentation", ignore_index=ignored)


def test_measured_values_at_each_pixel_are_a_regression() -> None:
    assert meaning_of((IMAGES,), np.zeros((4, 1, 8, 8)), masks(0, 1) * 0.5, None).task == "regression"
    assert meaning_of((IMAGES,), np.zeros((4, 1, 8, 8)), masks(0, 3), None).task == "regression"


def test_padded_boxes_are_a_detection_with_the_pixels_of_a_cell() -> None:
    rows = boxes.Spots().split("validation")
    found = meaning_of(rows.inputs, np.zeros((60, 6, 4, 4)), rows.targets, None)
    assert found == OutputMeaning("detection", pixels_per_cell=boxes.CELL)
    assert 0 < found.score(np.zeros((60, 6, 4, 4)), rows.targets) < 1  # rows without boxes are answered rightly


@pytest.mark.parametrize(
    ("task", "shape", "cells", "says"),
    [
        (None, (60, 1, 18, 16), (4, 4), "the same multiple of the 4 x 4 cells .* got 18 x 16"),
        (None, (60, 256), (4, 4), "got no image"),
        ("segmentation", (60, 1, 16, 16), None, "expected for the task segmentation masks"),
    ],
)
def test_what_does_not_fit_is_one_sentence(
    task: str | None, shape: tuple[int, ...], cells: tuple[int, int] | None, says: str
) -> None:
    targets = boxes.Spots().split("validation").targets
    with pytest.raises(ConfigurationError, match=says):
        meaning_of((np.zeros(shape),), np.zeros((60, 6, *(cells or (1,)))), targets, task)  # type: ignore[arg-type]


def test_values_in_three_axes_that_are_no_boxes_are_none() -> None:
    values = np.random.default_rng(0).normal(size=(4, 2, 5))
    with pytest.raises(ConfigurationError, match="of one kind"):
        meaning_of((IMAGES,), np.zeros((4, 6, 4, 4)), values, None)

"""Masks as answers: overlaps, their mean as a score, the loss, and what is no mask, by hand."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from deployments.answers import check_attributes, prediction_task, segmentation
from deployments.errors import ConfigurationError
from deployments.workload import Split, Workload, soft_labels_of
from tests.deployments.example_rows import attributes

IGNORED = 255
ANSWER = np.array([[0, 0, 1], [0, 1, 1]])
TRUTH = np.array([[0, 1, 1], [0, 0, 1]])


def logits(classes: np.ndarray, count: int) -> np.ndarray:
    """Outputs (rows, count, height, width) whose arg-max are these classes (rows, height, width)."""
    return np.moveaxis(np.eye(count, dtype=np.float32)[classes], -1, 1) * 4


class Masks(Workload):
    task = "segmentation"
    labels = ("field", "road")

    def split(self, _name: object) -> Split:
        raise NotImplementedError


def test_a_row_is_scored_by_the_overlap_of_the_classes_that_occur_in_it() -> None:
    outputs = logits(np.stack([ANSWER, TRUTH, np.zeros_like(TRUTH)]), 3)
    targets = np.stack([TRUTH, TRUTH, np.zeros_like(TRUTH)])
    # Row 1: class 0 has 2 pixels in both of 4 in either, class 1 the same; class 2 occurs nowhere.
    assert Masks().score(outputs, targets).tolist() == [0.5, 1, 1]


def test_a_class_that_is_only_answered_counts_as_missed() -> None:
    assert Masks().score(logits(np.array([[[0, 0, 0, 1]]]), 2), np.zeros((1, 1, 4), int)).tolist() == [0.375]


def test_one_logit_is_a_mask_above_zero() -> None:
    outputs = np.where(ANSWER == 1, 0.1, 0.0)[None, None]
    assert Masks().score(outputs, TRUTH[None]).tolist() == [0.5]
    assert Masks().predictions(outputs).tolist() == ["field 50.0%, road 50.0%"]


def test_pixels_that_do_not_count_change_nothing() -> None:
    task, targets = prediction_task("segmentation", IGNORED), np.where(ANSWER == TRUTH, TRUTH, IGNORED)[None]
    assert task.score(logits(ANSWER[None], 2), targets).tolist() == [1]
    outputs = torch.from_numpy(logits(ANSWER[None], 2))
    kept = targets != IGNORED
    expected = F.cross_entropy(outputs.movedim(1, -1)[torch.from_numpy(kept)], torch.from_numpy(targets[kept]))
    assert task.loss(outputs, torch.from_numpy(targets)).item() == pytest.approx(expected.item())
    one = outputs[:, 1:] - outputs[:, :1]
    assert task.loss(one, torch.from_numpy(targets)).item() == pytest.approx(expected.item(), rel=1e-5)


def test_areas_by_class_add_up_to_the_overlap() -> None:
    areas = Masks().meaning.areas(logits(ANSWER[None], 2), TRUTH[None], Masks.labels)
    assert {name: values.tolist() for name, values in areas.items()} == {
        "both(field)": [2], "either(field)": [4], "both(road)": [2], "either(road)": [4]
    }  # fmt: skip


def test_masks_of_many_rows_are_looked_at_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    outputs, targets = generator.normal(size=(7, 3, 4, 4)), generator.integers(0, 3, (7, 4, 4))
    whole = Masks().score(outputs, targets), list(map(str, prediction_task("segmentation").predictions(outputs, None)))
    parts: list[int] = []
    bincount = np.bincount

    def counted(*given: Any, **keys: Any) -> np.ndarray:
        parts.append(1)
        return np.asarray(bincount(*given, **keys))

    monkeypatch.setattr(segmentation, "_AT_ONCE", 2 * outputs[0].nbytes)
    monkeypatch.setattr(np, "bincount", counted)
    assert Masks().score(outputs, targets).tolist() == whole[0].tolist()
    assert len(parts) == 4
    assert list(prediction_task("segmentation").predictions(outputs, None)) == whole[1]


@pytest.mark.parametrize(
    ("targets", "labels", "wanted"),
    [
        (np.zeros((2, 3, 3), np.float32), None, "whole numbers"),
        (np.zeros((2, 9), int), None, "(rows, height, width)"),
        (np.full((2, 3, 3), -1), None, "class numbers from 0; set `ignore_index`"),
        (np.full((2, 3, 3), 2), ("a", "b"), "from 0 to 1, one for each of the `labels`"),
        (np.array([[[0, 1]], [[1, 1]]]), ("a", "b"), None),
    ],
)
def test_targets_that_are_no_masks(targets: np.ndarray, labels: tuple[str, ...] | None, wanted: str | None) -> None:
    said = prediction_task("segmentation").targets_wanted(targets, labels)
    assert said is None if wanted is None else wanted in (said or "")


def test_a_row_without_a_pixel_that_counts_is_refused() -> None:
    task = prediction_task("segmentation", IGNORED)
    assert "at least one pixel in every row" in (task.targets_wanted(np.full((1, 2, 2), IGNORED), None) or "")
    assert task.targets_wanted(np.array([[[0, IGNORED]]]), ("a",)) is None


@pytest.mark.parametrize(
    ("row", "labels", "wanted"),
    [
        ((3, 4, 4), None, None),
        ((2, 4, 4), None, "the targets go up to 2"),
        ((1, 4, 4), None, "the targets go up to 2"),
        ((3, 2, 2), None, "logits (rows, classes, 4, 4)"),
        ((4, 4), None, "logits (rows, classes, 4, 4)"),
        ((3, 4, 4), ("a", "b"), "a channel for each of the 2 `labels`"),
        ((1, 4, 4), ("a", "b", "c"), "two `labels` for one logit"),
    ],
)
def test_outputs_that_are_no_masks(row: tuple[int, ...], labels: tuple[str, ...] | None, wanted: str | None) -> None:
    said = prediction_task("segmentation").outputs_wanted(row, np.array([[[0, 1, 2, 2]] * 4]), labels)
    assert said is None if wanted is None else wanted in (said or "")


@pytest.mark.parametrize("channels", [1, 3])
def test_a_student_is_taught_at_each_pixel(channels: int) -> None:
    parent = np.random.default_rng(1).normal(size=(2, channels, 2, 2)).astype(np.float32)
    loss = soft_labels_of(Masks(), parent, np.zeros((2, 2, 2), int))
    assert loss is not None
    teacher = torch.from_numpy(parent)
    worse = teacher.clone()
    worse[0, 0, 0, 0] += 3
    assert loss(teacher, teacher, 2).item() == pytest.approx(0, abs=1e-6)
    assert loss(worse, teacher, 2).item() > 0.01


def test_a_drawing_has_a_colour_for_each_class() -> None:
    task = prediction_task("segmentation", IGNORED)
    answer, target = task.drawing(logits(ANSWER[None], 2)[0], None), task.drawing_of_target(ANSWER, None)
    assert answer is not None and target is not None
    assert answer.shape == (2, 3, 3) and answer.dtype == np.uint8
    assert np.array_equal(answer, target) and len(np.unique(answer.reshape(-1, 3), axis=0)) == 2
    gray = task.drawing_of_target(np.full((1, 1), IGNORED), None)
    assert gray is not None and gray.ravel().tolist() == [128, 128, 128]


@pytest.mark.parametrize(("task", "ignored"), [("classification", 0), ("segmentation", "none"), ("segmentation", True)])
def test_a_number_to_ignore_is_for_masks(task: str, ignored: object) -> None:
    with pytest.raises(ConfigurationError, match="expected a whole number as `ignore_index`"):
        check_attributes(attributes(task=task, ignore_index=ignored))
    check_attributes(attributes(task="segmentation", ignore_index=IGNORED))

"""Boxes that were found in rows: how far two of them lie over each other, and which of them find a true one."""

from typing import NamedTuple

import numpy as np

MATCHES = 0.5
"""The least intersection over union of a box that finds a true one."""


class RowBoxes(NamedTuple):
    """The boxes of one row: corners (n, 4) as x0, y0, x1, y1 in pixels, scores (n,), and class numbers (n,)."""

    corners: np.ndarray
    scores: np.ndarray
    classes: np.ndarray


def box_overlaps(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Return the intersection over union of each of `ours` (n, 4) with each of `theirs` (m, 4), of shape (n, m)."""
    sides = np.minimum(ours[:, None, 2:], theirs[None, :, 2:]) - np.maximum(ours[:, None, :2], theirs[None, :, :2])
    both = np.maximum(sides, 0).prod(axis=2)
    areas = [(corners[:, 2:] - corners[:, :2]).prod(axis=1) for corners in (ours, theirs)]
    either = areas[0][:, None] + areas[1][None, :] - both
    return np.asarray(np.divide(both, either, out=np.zeros(both.shape), where=either > 0))


def without_doubles(boxes: RowBoxes, most_overlap: float) -> RowBoxes:
    """Return the boxes of the highest score, of those of one class that lie over each other by more than that.

    They come in the order of their scores. Known as non-maximum suppression.
    """
    order = np.argsort(-boxes.scores, kind="stable")
    corners, classes = boxes.corners[order], boxes.classes[order]
    doubles = (box_overlaps(corners, corners) > most_overlap) & (classes[:, None] == classes)
    stays = np.ones(len(order), dtype=bool)
    for place in range(len(order)):
        if stays[place]:
            stays[place + 1 :] &= ~doubles[place, place + 1 :]
    return RowBoxes(corners[stays], boxes.scores[order][stays], classes[stays])


def tally_of_row(boxes: RowBoxes, truth: np.ndarray) -> np.ndarray:
    """Count for each class the true boxes that are found, the boxes that are answered, and the true ones, (3, classes).

    `truth` has rows of x0, y0, x1, y1 and the class, which is negative for padding. Boxes choose in the order of their
    scores, each the free true one of its class that it lies over most, by half at least. Source of the rule:
    Everingham et al., The PASCAL Visual Object Classes Challenge, 2010.
    """
    truth = truth[truth[:, 4] >= 0].astype(float)
    true_classes, answered_classes = truth[:, 4].astype(np.int64), boxes.classes.astype(np.int64)
    overlaps = box_overlaps(boxes.corners.astype(float), truth[:, :4])
    overlaps[answered_classes[:, None] != true_classes] = 0
    found = []
    for place in np.argsort(-boxes.scores, kind="stable"):
        if not len(truth):
            break
        best = int(overlaps[place].argmax())
        if overlaps[place, best] >= MATCHES:
            found.append(true_classes[best])
            overlaps[:, best] = 0
    classes = max((int(each.max()) + 1 for each in (true_classes, answered_classes) if len(each)), default=0)
    kinds = (np.asarray(found, dtype=np.int64), answered_classes, true_classes)
    return np.stack([np.bincount(each, minlength=classes) for each in kinds])

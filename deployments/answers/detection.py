"""Detection: boxes with a class, scored by how many true ones they find and how many they make up."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor

from deployments.answers.cell_outputs import SIDES, boxes_of_cells, cell_loss, soft_cell_loss
from deployments.answers.found_boxes import RowBoxes, tally_of_row
from deployments.answers.task_kind import COLORS, Labels, PredictionTask, class_name
from deployments.errors import ConfigurationError
from deployments.mapped import parts_of
from model_compression.training import SoftLabelLoss, soft_value_loss
from quality_gates.policy import box_columns

NO_BOX = "none"
_NUMBERS_OF_BOX = 5
_LINES = 128  # pixels of an image's longer edge for each pixel of a line
_BRIGHTEST = 255


@dataclass(frozen=True)
class Detection(PredictionTask):
    """Boxes in rows: targets (rows, most, 5) of x0, y0, x1, y1 in pixels and the class, -1 for padding.

    Outputs have the form of cell_outputs, whose cells lie `pixels_per_cell` apart, unless `decode` returns the boxes of
    each row for outputs (rows, ...) of another one; `dense` says that loss and soft labels are those of cell_outputs.
    The score of a row is the mean F1 of the classes that occur in its target or in its answer: twice the true boxes
    that are found, over the boxes of both. It is 1 where there is none in either.
    """

    pixels_per_cell: int | None = None
    decode: Callable[[np.ndarray], Sequence[RowBoxes]] | None = None
    dense: bool = True

    name = "detection"
    right_or_wrong = False
    has_loss = True
    draws = True
    fitting_metrics = frozenset({"mean_score"})
    parts: ClassVar[tuple[object, ...]] = (RowBoxes, boxes_of_cells)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the focal loss of the classes and the losses of the boxes."""
        return cell_loss(outputs, targets, self._pixels)

    def boxes(self, outputs: np.ndarray) -> Sequence[RowBoxes]:
        """Return the boxes of each row, of outputs in the form of cell_outputs."""
        return boxes_of_cells(outputs, self._pixels)

    def predictions(self, outputs: np.ndarray, labels: Labels) -> np.ndarray:
        """Return the number of boxes of each class as text, such as `car 2, person 1`, or `none`."""
        return np.asarray([_in_words(boxes, labels) for boxes in self._found(outputs)], dtype=object)

    def right_answers(self, _targets: np.ndarray, _labels: Labels) -> np.ndarray | None:
        """Return None: no answer is the right one in words."""
        return None

    def score(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Return the mean F1 of each row, over the classes that occur in it."""
        found, answered, true = np.moveaxis(self._tally(outputs, targets), 1, 0)
        occurs = answered + true > 0
        ratios = np.divide(2 * found, answered + true, out=np.zeros(found.shape), where=occurs)
        classes = occurs.sum(axis=1)
        return np.where(classes > 0, ratios.sum(axis=1) / np.maximum(classes, 1), 1.0)

    def logits(self, outputs: np.ndarray) -> np.ndarray | None:
        """Return the logits of the classes; none of another form of outputs."""
        return outputs[:, SIDES:] if self.dense and outputs.ndim == 4 else None

    def areas(self, outputs: np.ndarray, targets: np.ndarray, labels: Labels) -> Mapping[str, np.ndarray]:
        """Return for each class the true boxes that are found, the boxes that are answered, and the true ones."""
        named = outputs.shape[1] - SIDES if self.dense else 0 if labels is None else len(labels)
        counts = _padded(self._tally(outputs, targets), named)
        return {
            column: counts[:, kind, number]
            for number in range(counts.shape[2])
            for kind, column in enumerate(box_columns(class_name(number, labels)))
        }

    def drawing(self, answer: np.ndarray, picture: np.ndarray | None) -> np.ndarray | None:
        """Return the picture with the boxes of the answer; None without a picture."""
        (boxes,) = self._found(answer[None])
        return None if picture is None else _drawn(boxes.corners, boxes.classes, picture)

    def drawing_of_target(self, target: np.ndarray, picture: np.ndarray | None) -> np.ndarray | None:
        """Return the picture with the boxes of the target; None without a picture."""
        boxes = target[target[:, SIDES] >= 0]
        return None if picture is None else _drawn(boxes[:, :SIDES], boxes[:, SIDES], picture)

    def targets_wanted(self, targets: np.ndarray, labels: Labels) -> str | None:
        """Want padded boxes, each with its corners in order and the number of a class."""
        if targets.ndim != 3 or targets.shape[2] != _NUMBERS_OF_BOX or not targets.shape[1]:
            return "boxes (rows, most, 5) of x0, y0, x1, y1 and the class, which is -1 for padding"
        last = np.inf if labels is None else len(labels) - 1
        up_to = "" if labels is None else f" to {last}, one for each of the `labels`"
        start = 0
        for part in parts_of(targets):
            classes = part[..., SIDES]
            there = classes >= 0
            for wrong, wanted in (
                ((classes != np.round(classes)) | (classes < -1) | (classes > last), f"classes from 0{up_to}, or -1"),
                (there & ~(part[..., 2:4] > part[..., :2]).all(axis=2), "boxes with x0 < x1 and y0 < y1"),
                (there & (part[..., :2] < 0).any(axis=2), "boxes that begin inside of the image, from 0"),
            ):
                if wrong.any():
                    return f"{wanted}, other than {_shown(part, wrong, start)}"
            start += len(part)
        return None

    def outputs_wanted(self, row: tuple[int, ...], targets: np.ndarray, labels: Labels) -> str | None:
        """Want four distances and a logit for each class in every cell, and cells wherever there are boxes."""
        if not self.dense:
            return None
        if len(row) != 3 or row[0] <= SIDES:
            return "four distances and the logits of the classes in each cell, (rows, 4 + classes, height, width)"
        classes, (high, wide) = row[0] - SIDES, row[1:]
        if labels is not None and classes != len(labels):
            return f"4 channels of distances and one for each of the {len(labels)} `labels`"
        edges, start = np.array([wide, high]) * self._pixels, 0
        for part in parts_of(targets):
            there = part[..., SIDES] >= 0
            if (outside := there & (part[..., 2:4] > edges).any(axis=2)).any():
                return (
                    f"boxes inside of the {edges[0]} x {edges[1]} pixels of {wide} x {high} cells, as "
                    f"`pixels_per_cell` is {self._pixels}, other than {_shown(part, outside, start)}"
                )
            if part[..., SIDES].max() >= classes:
                return f"a channel for each class, as the targets go up to {int(part[..., SIDES].max())}"
            start += len(part)
        return None

    def soft_labels(self, _outputs: np.ndarray, _targets: np.ndarray) -> SoftLabelLoss | None:
        """Return the divergence of the classes with the squared error of the distances; of other forms the latter."""
        return soft_cell_loss if self.dense else soft_value_loss

    @property
    def _pixels(self) -> int:
        """The pixels between cells. Raises ConfigurationError where the workload does not say them."""
        if self.pixels_per_cell is None:
            raise ConfigurationError(
                "expected `pixels_per_cell` of the workload, got None; set it, or write its `boxes` and `loss`"
            )
        return self.pixels_per_cell

    def _found(self, outputs: np.ndarray) -> Iterator[RowBoxes]:
        """Yield the boxes of each row; outputs are looked at some megabytes at a time. Raises ConfigurationError."""
        for part in parts_of(outputs):
            rows = list((self.decode or self.boxes)(part))
            if len(rows) != len(part):
                raise ConfigurationError(
                    f"expected boxes for each of {len(part)} rows, got {len(rows)}; correct Workload.boxes"
                )
            yield from map(_checked, rows)

    def _tally(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Count the true boxes that are found, the boxes that are answered, and the true ones, (rows, 3, classes)."""
        pairs = zip(self._found(outputs), targets, strict=True)
        rows = [tally_of_row(boxes, np.asarray(truth)) for boxes, truth in pairs]
        most = max((each.shape[1] for each in rows), default=0)
        return np.stack([_padded(each, most) for each in rows])


def _padded(counts: np.ndarray, classes: int) -> np.ndarray:
    """Return counts (..., found classes) with zeros for classes that none of them has."""
    missing = max(classes - counts.shape[-1], 0)
    return np.pad(counts, [*[(0, 0)] * (counts.ndim - 1), (0, missing)])


def _checked(boxes: Sequence[np.ndarray]) -> RowBoxes:
    given = RowBoxes(*map(np.asarray, boxes))
    count = len(given.scores)
    if given.corners.shape != (count, SIDES) or given.classes.shape != (count,):
        raise ConfigurationError(
            "expected corners (n, 4), scores (n,) and classes (n,) of each row, got "
            f"{given.corners.shape}, {given.scores.shape} and {given.classes.shape}; correct Workload.boxes"
        )
    return given


def _in_words(boxes: RowBoxes, labels: Labels) -> str:
    counts = np.bincount(boxes.classes.astype(np.int64))
    named = (f"{class_name(int(number), labels)} {counts[number]}" for number in np.flatnonzero(counts))
    return ", ".join(named) or NO_BOX


def _shown(part: np.ndarray, wrong: np.ndarray, start: int) -> str:
    """Write the first of the wrong boxes of a part of the targets whose first row has the number `start`."""
    row, place = np.argwhere(wrong)[0]
    return f"({', '.join(f'{float(number):g}' for number in part[row, place])}) of row {start + row}"


def _drawn(corners: np.ndarray, classes: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Return a picture, (height, width) or with 1 or 3 channels first or last, as bytes with the boxes in colours."""
    canvas = _canvas(picture)
    high, wide = canvas.shape[:2]
    line = max(round(max(high, wide) / _LINES), 1)
    for (x0, y0, x1, y1), number in zip(corners, classes, strict=True):
        left, right = (int(np.clip(np.floor(x), 0, wide - 1)) for x in (x0, np.ceil(x1) - 1))
        top, bottom = (int(np.clip(np.floor(y), 0, high - 1)) for y in (y0, np.ceil(y1) - 1))
        inside = canvas[top : bottom + 1, left : right + 1]
        middle = inside[line:-line, line:-line].copy()
        inside[:] = COLORS[1 + int(number) % (len(COLORS) - 1)]
        inside[line:-line, line:-line] = middle
    return canvas


def _canvas(picture: np.ndarray) -> np.ndarray:
    """Return a picture as bytes (height, width, 3), scaled from its least and largest value."""
    if picture.ndim == 3 and picture.shape[0] in (1, 3):
        picture = np.moveaxis(picture, 0, 2)
    last = picture if picture.ndim == 3 else picture[..., None]
    finite = np.nan_to_num(last.astype(float), nan=0, posinf=0, neginf=0)
    spread = float(np.ptp(finite)) or 1.0
    gray = (finite - finite.min()) * (_BRIGHTEST / spread)
    return np.array(np.broadcast_to(gray, (*gray.shape[:2], 3)), dtype=np.uint8)

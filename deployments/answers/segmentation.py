"""Segmentation: a class for each pixel, scored by how far the areas of answer and truth lie over each other."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from deployments.answers.task_kind import VALUES_SHOWN, WHOLE, Labels, PredictionTask, lie_from_0_to_1
from model_compression.training import SoftLabelLoss, are_probabilities, soft_binary_loss, soft_label_loss
from quality_gates.policy import area_columns

_AT_ONCE = 16 << 20  # bytes of outputs: masks of many rows are more than the memory holds
_NOTHING = -100  # the class number that torch leaves out, where a workload names none
_COLORS = np.array([
    (24, 28, 34), (86, 180, 233), (230, 159, 0), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0),
    (204, 121, 167),
], dtype=np.uint8)  # fmt: skip
"""Colours that are told apart by most eyes. Source: Okabe and Ito, Color Universal Design, 2008."""
_IGNORED_COLOR = np.uint8(128)


@dataclass(frozen=True)
class Segmentation(PredictionTask):
    """A class for each pixel: outputs (rows, classes, height, width), targets are class numbers (rows, height, width).

    Outputs of one logit, (rows, 1, height, width), are masks of 0 and 1. Pixels whose target is `ignore_index` count
    nowhere. The score of a row is the mean intersection over union of the classes that occur in its target or in its
    answer. Source of the ratio: Jaccard, The distribution of the flora in the alpine zone, 1912.
    """

    ignore_index: int | None = None

    name = "segmentation"
    right_or_wrong = False
    values = True
    has_loss = True
    draws = True
    fitting_metrics = frozenset({"mean_score"})

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the cross entropy of the pixels that count, for one logit the binary one."""
        ignored = _NOTHING if self.ignore_index is None else self.ignore_index
        if outputs.shape[1] != 1:
            return F.cross_entropy(outputs, targets.long(), ignore_index=ignored)
        counts = targets != ignored
        return F.binary_cross_entropy_with_logits(outputs[:, 0][counts], targets[counts].to(outputs.dtype))

    def predictions(self, outputs: np.ndarray, labels: Labels) -> np.ndarray:
        """Return the shares of the classes in each row as text, the largest ones first."""
        return np.asarray([_shares(row, labels) for part in _parts(outputs) for row in part], dtype=object)

    def right_answers(self, _targets: np.ndarray, _labels: Labels) -> np.ndarray | None:
        """Return None: no answer is the right one in words."""
        return None

    def score(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Return the mean intersection over union of each row, over the classes that occur in it."""
        both, either = self._overlaps(outputs, targets)
        occurs = either > 0
        ratios = np.divide(both, either, out=np.zeros(both.shape), where=occurs)
        return np.asarray(ratios.sum(axis=1) / np.maximum(occurs.sum(axis=1), 1))

    def areas(self, outputs: np.ndarray, targets: np.ndarray, labels: Labels) -> Mapping[str, np.ndarray]:
        """Return for each class the pixels on which answer and target agree, and those on which either has it."""
        both, either = self._overlaps(outputs, targets)
        columns: dict[str, np.ndarray] = {}
        for number in range(both.shape[1]):
            agree, any_of = area_columns(_name(number, labels))
            columns |= {agree: both[:, number], any_of: either[:, number]}
        return columns

    def drawing(self, answer: np.ndarray, _picture: np.ndarray | None) -> np.ndarray | None:
        """Return a colour for each pixel by its class."""
        return self.drawing_of_target(next(_parts(answer[None]))[0], None)

    def drawing_of_target(self, target: np.ndarray, _picture: np.ndarray | None) -> np.ndarray | None:
        """Return a colour for each pixel by its class; gray where it does not count."""
        counts = np.ones(target.shape, dtype=bool) if self.ignore_index is None else target != self.ignore_index
        picture = _COLORS[np.where(counts, target, 0).astype(np.int64) % len(_COLORS)]
        picture[~counts] = _IGNORED_COLOR
        return picture

    def targets_wanted(self, targets: np.ndarray, labels: Labels) -> str | None:
        """Want class numbers from 0 for each pixel, and in every row some pixel that counts."""
        beside = "" if self.ignore_index is None else f", or {self.ignore_index} where a pixel does not count"
        if targets.dtype.kind not in WHOLE or targets.ndim != 3:
            return f"class numbers (rows, height, width) of whole numbers{beside}"
        last = np.inf if labels is None else len(labels) - 1
        for row in targets:
            counts = row[row != self.ignore_index] if self.ignore_index is not None else row
            if not counts.size:
                return f"at least one pixel in every row that is not {self.ignore_index}"
            if counts.min() < 0 or counts.max() > last:
                up_to = "" if labels is None else f" to {last}, one for each of the `labels`"
                none = "; set `ignore_index` if one number stands for pixels that do not count"
                return f"class numbers from 0{up_to}{beside}{none if self.ignore_index is None else ''}"
        return None

    def outputs_wanted(self, row: tuple[int, ...], targets: np.ndarray, labels: Labels) -> str | None:
        """Want a logit for each class, or one, at each pixel of the targets."""
        size = ", ".join(map(str, targets.shape[1:]))
        if len(row) != 3 or row[1:] != targets.shape[1:]:
            return f"logits (rows, classes, {size}) at each pixel of the targets, or (rows, 1, {size}) of one logit"
        classes = max(row[0], 2)
        if labels is not None and classes != len(labels):
            return f"a channel for each of the {len(labels)} `labels`" if row[0] > 1 else "two `labels` for one logit"
        highest = max((int(each[each != self.ignore_index].max(initial=0)) for each in targets), default=0)
        return None if highest < classes else f"a channel for each class, as the targets go up to {highest}"

    def soft_labels(self, outputs: np.ndarray, _targets: np.ndarray) -> SoftLabelLoss | None:
        """Return the softmax over the classes at each pixel by itself; the sigmoid of one logit."""
        if outputs.ndim != 4:
            return None
        if outputs.shape[1] == 1:
            return partial(soft_binary_loss, probabilities=lie_from_0_to_1(outputs))
        return partial(soft_label_loss, axis=1, probabilities=are_probabilities(outputs, 1))

    def _overlaps(self, outputs: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the pixels of each class in answer and target, and in either, (rows, classes) both."""
        classes, both, either, start = max(outputs.shape[1], 2), [], [], 0
        for part in _parts(outputs):
            truth = np.asarray(targets[start : start + len(part)]).astype(np.int64)
            counts = truth != (_NOTHING if self.ignore_index is None else self.ignore_index)
            row = np.arange(len(part))[:, None, None]
            cells = ((row * classes + truth) * classes + part)[counts]
            table = np.bincount(cells, minlength=len(part) * classes**2).reshape(len(part), classes, classes)
            agree = table.diagonal(axis1=1, axis2=2)
            both.append(agree)
            either.append(table.sum(axis=1) + table.sum(axis=2) - agree)
            start += len(part)
        return np.concatenate(both), np.concatenate(either)


def _parts(outputs: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the class of each pixel, (rows, height, width), of some megabytes of outputs at a time."""
    step = max(_AT_ONCE // max(outputs[:1].nbytes, 1), 1)
    for start in range(0, len(outputs), step):
        part = outputs[start : start + step]
        yield np.asarray(part[:, 0] > 0).astype(np.int64) if part.shape[1] == 1 else part.argmax(axis=1)


def _shares(classes: np.ndarray, labels: Labels) -> str:
    counts = np.bincount(classes.ravel())
    order = [number for number in np.argsort(-counts, kind="stable") if counts[number]]
    more = ", ..." if len(order) > VALUES_SHOWN else ""
    shown = (f"{_name(number, labels)} {counts[number] / classes.size:.1%}" for number in order[:VALUES_SHOWN])
    return f"{', '.join(shown)}{more}"


def _name(number: int, labels: Labels) -> str:
    return f"class {number}" if labels is None else labels[number]

"""Outputs of detectors without anchors: each cell of a grid says how far the sides of a box are, and what is in it.

Outputs have the shape (rows, 4 + classes, grid height, grid width). The first four channels are the distances from the
centre of the cell to the left, top, right and bottom side, in cells; the others are logits, one for each class by
itself. Source: Tian et al., FCOS: Fully convolutional one-stage object detection, 2019, without its centre-ness.
"""

import numpy as np
import torch
import torch.nn.functional as F
from scipy.special import expit, logit
from torch import Tensor

from deployments.answers.found_boxes import RowBoxes, without_doubles
from model_compression.training import soft_binary_loss

SIDES = 4
_LOOKED_AT = 300  # cells of a row: more of them are a model that says yes everywhere
_REACH = 1.5  # cells from the middle of a box whose cells learn it: FCOS's centre sampling
_FOCUS = 2  # the exponent of the focal loss


def boxes_of_cells(
    outputs: np.ndarray,
    pixels_per_cell: int,
    *,
    least_score: float = 0.5,
    most_overlap: float = 0.5,
    most: int = 100,
) -> list[RowBoxes]:
    """Return the boxes of each row with a score of `least_score` or more, the highest `most` of them.

    Of boxes of one class that lie over each other by more than `most_overlap`, the one of the highest score stays.
    Boxes end at the border of the grid.
    """
    found = []
    for row in outputs:
        boxes = _answered(row, pixels_per_cell, float(logit(least_score)))
        kept = without_doubles(boxes, most_overlap)
        found.append(RowBoxes(*(array[:most] for array in kept)))
    return found


def _answered(row: np.ndarray, pixels_per_cell: int, least: float) -> RowBoxes:
    logits = row[SIDES:]
    classes, down, across = np.nonzero(logits >= least)
    order = np.argsort(-logits[classes, down, across], kind="stable")[:_LOOKED_AT]
    classes, down, across = classes[order], down[order], across[order]
    centres = np.stack([across, down], axis=1) + 0.5
    sides = row[:SIDES, down, across].T.astype(float)
    corners = np.concatenate([centres - sides[:, :2], centres + sides[:, 2:]], axis=1)
    high, wide = row.shape[1:]
    corners = corners.clip(0, [wide, high, wide, high]) * pixels_per_cell
    is_box = (corners[:, 2:] > corners[:, :2]).all(axis=1)
    scores = expit(logits[classes, down, across].astype(float))
    return RowBoxes(corners[is_box], scores[is_box], classes[is_box])


def cell_loss(outputs: Tensor, targets: Tensor, pixels_per_cell: int) -> Tensor:
    """Compute the loss of a batch against padded boxes (rows, most, 5) of x0, y0, x1, y1 in pixels and the class.

    It is the focal loss of the classes in all cells, and in cells that have a box the sum of the generalized IoU loss
    and of the mean absolute error of the distances; both over the number of such cells. A box has the cell of its
    middle, and those with their centre in it and within 1.5 cells of the middle. Of several boxes the smallest has the
    cell. Sources: Lin et al., Focal loss for dense object detection, 2017, equation 4 with an exponent of 2;
    Rezatofighi et al., Generalized intersection over union, 2019; their sum after Carion et al., DETR, 2020.
    """
    outputs, boxes = outputs.float(), targets[..., :SIDES].float() / pixels_per_cell
    logits, distances = outputs[:, SIDES:], outputs[:, :SIDES].movedim(1, -1)
    chosen, there = _cells_of(boxes, targets[..., SIDES] >= 0, outputs.shape[2], outputs.shape[3])
    row, down, across = there.nonzero(as_tuple=True)
    box = boxes[row, chosen[there]]
    centres = torch.stack([across, down], dim=1) + 0.5
    wanted = torch.cat([centres - box[:, :2], box[:, 2:] - centres], dim=1)
    truth = torch.zeros_like(logits)
    truth[row, targets[row, chosen[there], SIDES].long(), down, across] = 1
    given = distances[there]
    of_boxes = _unlike(given, wanted).sum() + F.l1_loss(given, wanted, reduction="sum") / SIDES
    return (_focal(logits, truth).sum() + of_boxes) / max(len(row), 1)


def soft_cell_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Compute how far a student's cells are from the teacher's.

    It is the divergence of each class's sigmoid, softened by the temperature, and the squared error of the distances,
    which weighs by the teacher's highest class probability: where it sees nothing, its distances mean nothing. Both
    are sums over the cells of a batch, over the sum of these probabilities. Raises TrainingError for different shapes.
    """
    divergence = soft_binary_loss(student[:, SIDES:], teacher[:, SIDES:], temperature) * teacher[:, SIDES:].numel()
    weights = teacher[:, SIDES:].sigmoid().amax(dim=1)
    errors = (student[:, :SIDES] - teacher[:, :SIDES]).square().mean(dim=1)
    return (divergence + (errors * weights).sum()) / weights.sum().clamp_min(1)


def _cells_of(boxes: Tensor, there: Tensor, high: int, wide: int) -> tuple[Tensor, Tensor]:
    """Return the place of the box that each cell learns, and which cells learn one, both (rows, high, wide).

    `boxes` (rows, most, 4) are in cells.
    """
    middles = (boxes[..., :2] + boxes[..., 2:]) / 2
    near, home = [], []
    for axis, size in ((0, wide), (1, high)):
        cells = torch.arange(size, device=boxes.device)
        middle, centres = middles[..., axis, None], cells + 0.5
        first = torch.maximum(boxes[..., axis, None], middle - _REACH)
        last = torch.minimum(boxes[..., axis + 2, None], middle + _REACH)
        near.append((centres > first) & (centres < last))
        home.append(cells == middle.floor().clamp(0, size - 1))
    learnt = (near[1][..., None] & near[0][..., None, :]) | (home[1][..., None] & home[0][..., None, :])
    learnt = learnt & there[..., None, None]
    areas = (boxes[..., 2:] - boxes[..., :2]).prod(dim=-1)
    smallest, chosen = torch.where(learnt, areas[..., None, None], torch.inf).min(dim=1)
    return chosen, smallest < torch.inf


def _focal(logits: Tensor, truth: Tensor) -> Tensor:
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    return (1 - torch.exp(-entropy)) ** _FOCUS * entropy


def _unlike(given: Tensor, wanted: Tensor) -> Tensor:
    """Return the generalized IoU loss of boxes (n, 4) that are distances from one point to their sides."""
    both = (torch.minimum(given, wanted)[:, :2] + torch.minimum(given, wanted)[:, 2:]).clamp_min(0).prod(dim=1)
    around = (torch.maximum(given, wanted)[:, :2] + torch.maximum(given, wanted)[:, 2:]).prod(dim=1)
    areas = [(each[:, :2] + each[:, 2:]).clamp_min(0).prod(dim=1) for each in (given, wanted)]
    either = areas[0] + areas[1] - both
    return 1 - both / either + (around - either) / around

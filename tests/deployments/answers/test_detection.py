"""Boxes as answers: cells that become boxes, true ones that are found, the score and the loss, and what is no box."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from deployments.answers import Detection, RowBoxes, boxes_of_cells, check_attributes, detection
from deployments.errors import ConfigurationError
from deployments.user_code import code_digest
from deployments.workload import Split, Workload, soft_labels_of
from tests.deployments.example_rows import attributes

CELL = 4
NOTHING = (0, 0, 0, 0, -1)
BOXES = np.array([[(2, 4, 14, 12, 0), (20, 20, 30, 31, 1)], [(8, 8, 16, 16, 1), NOTHING]], np.float32)


class Yard(Workload):
    task = "detection"
    labels = ("car", "person")
    pixels_per_cell: int | None = CELL

    def split(self, _name: object) -> Split:
        raise NotImplementedError


def cells(rows: Sequence[Sequence[Sequence[float]]], edge: int = 8, classes: int = 2) -> np.ndarray:
    """Outputs that answer these boxes of x0, y0, x1, y1, class and logit, each by the cell of its middle."""
    outputs = np.zeros((len(rows), 4 + classes, edge, edge), np.float32)
    outputs[:, 4:] = -9
    for output, boxes in zip(outputs, rows, strict=True):
        for x0, y0, x1, y1, kind, logit in boxes:
            across, down = int((x0 + x1) / 2 // CELL), int((y0 + y1) / 2 // CELL)
            x, y = (across + 0.5) * CELL, (down + 0.5) * CELL
            output[:4, down, across] = np.array([x - x0, y - y0, x1 - x, y1 - y]) / CELL
            output[4 + int(kind), down, across] = logit
    return outputs


def answers(targets: np.ndarray = BOXES) -> np.ndarray:
    """Outputs that answer exactly the targets."""
    return cells([[(*box, 3) for box in row.tolist() if box[4] >= 0] for row in targets])


def test_cells_are_boxes_where_a_class_is_more_likely_than_not() -> None:
    first, second = boxes_of_cells(answers(), CELL)
    assert first.corners.tolist() == BOXES[0, :, :4].tolist() and first.classes.tolist() == [0, 1]
    assert first.scores == pytest.approx([1 / (1 + np.exp(-3))] * 2)
    assert second.corners.tolist() == [[8, 8, 16, 16]]
    unlikely = cells([[(0, 0, 8, 8, 0, -0.1)]])
    assert len(boxes_of_cells(unlikely, CELL)[0].scores) == 0
    assert len(boxes_of_cells(unlikely, CELL, least_score=0.4)[0].scores) == 1


def test_boxes_end_at_the_border_and_empty_ones_are_none() -> None:
    outputs = cells([[(-9, 20, 12, 41, 0, 1), (16, 4, 16, 4, 0, 1)]])
    assert boxes_of_cells(outputs, CELL)[0].corners.tolist() == [[0, 20, 12, 32]]


def test_of_boxes_of_one_class_over_each_other_the_likeliest_stays() -> None:
    outputs = cells([[(0, 0, 16, 16, 0, 1), (0, 4, 16, 20, 0, 2), (4, 0, 20, 16, 1, 1), (16, 16, 32, 32, 0, 1)]])
    (kept,) = boxes_of_cells(outputs, CELL)  # the first two have 12 of 20 lines in both: 0.6
    assert kept.corners[:, :2].tolist() == [[0, 4], [16, 16], [4, 0]] and kept.classes.tolist() == [0, 0, 1]
    assert len(boxes_of_cells(outputs, CELL, most_overlap=0.7)[0].scores) == 4
    assert boxes_of_cells(outputs, CELL, most=1)[0].corners.tolist() == [[0, 4, 16, 20]]


def test_a_row_is_scored_by_the_mean_f1_of_the_classes_that_occur_in_it() -> None:
    one = [(0, 0, 8, 8, 0)]
    rows: list[tuple[Any, Any, float]] = [
        ([(0, 0, 8, 8, 0, 1)], one, 1),
        ([], one, 0),
        ([], [], 1),
        ([(0, 0, 8, 8, 0, 1)], [], 0),
        ([(0, 0, 8, 8, 1, 1)], one, 0),  # of two classes that occur none is right
        ([(0, 0, 8, 8, 0, 1), (16, 16, 24, 24, 1, 1)], one, 0.5),
        ([(0, 0, 8, 8, 0, 1), (16, 16, 24, 24, 0, 1)], one, 2 / 3),
        ([(0, 0, 16, 8, 0, 1)], one, 1),  # half of it in both
        ([(0, 0, 17, 8, 0, 1)], one, 0),
        ([(0, 0, 16, 10, 0, 1), (0, 7, 16, 16, 0, 2)], [(0, 0, 16, 16, 0)], 2 / 3),  # one true box is found once
    ]
    for answered, truth, score in rows:
        targets = np.array([[*truth, NOTHING]], np.float32)
        assert Yard().score(cells([answered]), targets).tolist() == pytest.approx([score]), (answered, truth)


def test_true_boxes_are_found_one_to_one_by_the_likeliest_first() -> None:
    truth = np.array([[(0, 0, 16, 16, 0), (0, 8, 16, 24, 0)]], np.float32)
    outputs = cells([[(0, 0, 16, 16, 0, 1), (0, 6, 16, 22, 0, 2)]])
    counts = Yard().meaning.areas(outputs, truth, Yard.labels)
    assert {name: values.tolist() for name, values in counts.items()} == {
        "found(car)": [2], "answered(car)": [2], "true(car)": [2],
        "found(person)": [0], "answered(person)": [0], "true(person)": [0],
    }  # fmt: skip


def test_answers_in_words_count_the_boxes() -> None:
    outputs = np.concatenate([answers(), cells([[]])])
    assert Yard().predictions(outputs).tolist() == ["car 1, person 1", "person 1", "none"]
    assert Detection(CELL).predictions(outputs, None).tolist()[1] == "class 1 1"


def test_rows_are_looked_at_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    targets = np.tile(BOXES, (4, 1, 1))[:7]
    outputs = answers(targets)
    outputs[::3, 4] = -9
    whole = Yard().score(outputs, targets)
    seen: list[int] = []

    def in_parts(array: np.ndarray) -> Iterator[np.ndarray]:
        for start in range(0, len(array), 2):
            seen.append(len(array[start : start + 2]))
            yield array[start : start + 2]

    monkeypatch.setattr(detection, "parts_of", in_parts)
    assert Yard().score(outputs, targets).tolist() == whole.tolist()
    assert seen == [2, 2, 2, 1] and 0 < whole.mean() < 1


def test_the_loss_falls_with_each_part_of_the_answer() -> None:
    targets = torch.from_numpy(BOXES)
    right = answers()
    for row, box in ((0, BOXES[0, 0]), (0, BOXES[0, 1]), (1, BOXES[1, 0])):  # cells near the middle answer too
        kind = int(box[4])
        for down in range(8):
            for across in range(8):
                x, y = (across + 0.5) * CELL, (down + 0.5) * CELL
                middle = abs(x - (box[0] + box[2]) / 2) < 6 and abs(y - (box[1] + box[3]) / 2) < 6
                if middle and box[0] < x < box[2] and box[1] < y < box[3]:
                    right[row, :4, down, across] = np.array([x - box[0], y - box[1], box[2] - x, box[3] - y]) / CELL
                    right[row, 4 + kind, down, across] = 9
    best = Yard().loss(torch.from_numpy(right), targets).item()
    assert best == pytest.approx(0, abs=1e-4)
    for channel, change in ((0, 1.0), (3, -1.0), (5, -12.0)):
        worse = right.copy()
        worse[1, channel, 3, 3] += change
        assert Yard().loss(torch.from_numpy(worse), targets).item() > best + 0.02
    nothing = torch.full((1, 1, 5), -1.0)
    assert Yard().loss(torch.from_numpy(cells([[]])), nothing).item() == pytest.approx(0, abs=1e-4)


def test_a_box_smaller_than_a_cell_is_learnt_by_the_cell_of_its_middle() -> None:
    targets = torch.tensor([[[1.0, 1, 2, 2, 0]]])
    outputs = torch.zeros((1, 6, 8, 8), requires_grad=True)
    Yard().loss(outputs, targets).backward()
    assert outputs.grad is not None
    assert (outputs.grad[0, :4] != 0).any(dim=0).nonzero().tolist() == [[0, 0]]


def test_training_by_the_loss_finds_the_boxes() -> None:
    outputs = torch.zeros((2, 6, 8, 8), requires_grad=True)
    optimizer = torch.optim.Adam([outputs], lr=0.3)
    for _ in range(40):
        optimizer.zero_grad()
        Yard().loss(outputs, torch.from_numpy(BOXES)).backward()
        optimizer.step()
    assert Yard().score(outputs.detach().numpy(), BOXES).tolist() == [1, 1]


def test_a_student_is_taught_by_cells_and_by_distances_where_the_parent_sees_something() -> None:
    parent = answers()
    loss = soft_labels_of(Yard(), parent, BOXES)
    assert loss is not None
    teacher = torch.from_numpy(parent)
    middle = (3, 3)  # of the box in row 1

    def worse(channel: int, place: tuple[int, int]) -> float:
        student = teacher.clone()
        student[1, channel, place[0], place[1]] += 2
        return loss(student, teacher, 2).item()

    assert loss(teacher, teacher, 2).item() == pytest.approx(0, abs=1e-6)
    assert worse(5, (0, 0)) > 1e-3 and worse(1, middle) > 0.1
    assert worse(1, (0, 0)) < 1e-3


class Corners(Yard):
    """Outputs of one box a row as corners and a logit: another form."""

    pixels_per_cell = None

    def boxes(self, outputs: np.ndarray) -> Any:
        return [(row[None, :4], row[4:], np.zeros(1, int)) if row[4] > 0 else self.none() for row in outputs]

    def none(self) -> RowBoxes:
        return RowBoxes(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int))

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return (outputs[:, :4] - targets[:, 0, :4]).abs().mean()


def test_outputs_of_another_form_are_decoded_by_the_workload() -> None:
    outputs = np.array([[2, 4, 14, 12, 1.0], [0, 0, 4, 4, -1]])
    check_attributes(Corners())
    assert Corners().predictions(outputs).tolist() == ["car 1", "none"]
    assert Corners().score(outputs, BOXES).tolist() == [0.5, 0]
    assert Corners().meaning.outputs_wanted((5,), BOXES, Corners.labels) is None
    assert Corners().meaning.areas(outputs, BOXES, Corners.labels)["true(person)"].tolist() == [1, 1]
    loss = soft_labels_of(Corners(), outputs, BOXES)
    assert loss is not None and loss(torch.zeros(2, 5), torch.ones(2, 5), 2).item() == 1


@pytest.mark.parametrize("boxes", [[], [(np.zeros((1, 4)), np.zeros(2), np.zeros(1))]])
def test_boxes_that_do_not_fit_their_rows_are_refused(boxes: list[Any]) -> None:
    task = Detection(decode=lambda _: boxes)
    with pytest.raises(ConfigurationError, match=r"correct Workload\.boxes"):
        task.predictions(np.zeros((1, 5)), None)


@pytest.mark.parametrize(
    ("targets", "labels", "wanted"),
    [
        (BOXES, ("car", "person"), None),
        (BOXES, None, None),
        (BOXES.astype(int), None, None),
        (BOXES[:, 0], None, "boxes (rows, most, 5)"),
        (BOXES[..., :4], None, "boxes (rows, most, 5)"),
        (BOXES[:, :0], None, "boxes (rows, most, 5)"),
        (BOXES[:, :, [2, 1, 0, 3, 4]], None, "x0 < x1 and y0 < y1, other than (14, 4, 2, 12, 0) of row 0"),
        (BOXES[:, :, [0, 3, 2, 1, 4]], None, "x0 < x1 and y0 < y1"),
        (BOXES - [[[3, 0, 0, 0, 0]]], None, "begin inside of the image, from 0, other than (-1, 4, 14, 12, 0)"),
        (BOXES, ("car",), "classes from 0 to 0, one for each of the `labels`, or -1"),
        (BOXES - [[[0, 0, 0, 0, 1]]], None, "classes from 0, or -1, other than (0, 0, 0, 0, -2) of row 1"),
        (BOXES - [[[0, 0, 0, 0, 0.5]]], None, "classes from 0, or -1"),
    ],
)
def test_targets_that_are_no_boxes(targets: np.ndarray, labels: tuple[str, ...] | None, wanted: str | None) -> None:
    said = Detection(CELL).targets_wanted(targets, labels)
    assert said is None if wanted is None else wanted in (said or "")


@pytest.mark.parametrize(
    ("row", "labels", "wanted"),
    [
        ((6, 8, 8), ("car", "person"), None),
        ((7, 8, 9), None, None),
        ((4, 8, 8), None, "(rows, 4 + classes, height, width)"),
        ((6, 64), None, "(rows, 4 + classes, height, width)"),
        ((7, 8, 8), ("car", "person"), "4 channels of distances and one for each of the 2 `labels`"),
        ((5, 8, 8), None, "the targets go up to 1"),
        ((6, 7, 8), None, "inside of the 32 x 28 pixels of 8 x 7 cells, as `pixels_per_cell` is 4, other than (20, 20"),
    ],
)
def test_outputs_that_are_no_cells(row: tuple[int, ...], labels: tuple[str, ...] | None, wanted: str | None) -> None:
    said = Detection(CELL).outputs_wanted(row, BOXES, labels)
    assert said is None if wanted is None else wanted in (said or "")


def test_boxes_are_drawn_on_the_picture() -> None:
    task, picture = Detection(CELL), np.linspace(0, 1, 32 * 32).reshape(1, 32, 32)
    target, answer = task.drawing_of_target(BOXES[0], picture), task.drawing(answers()[0], picture)
    assert target is not None and answer is not None
    assert target.shape == (32, 32, 3) and target.dtype == np.uint8 and np.array_equal(target, answer)
    coloured = (target.max(axis=2) != target.min(axis=2)).astype(int)
    assert coloured[4:12, 2:14].sum() == 2 * (12 + 8) - 4 and coloured[20:31, 20:30].sum() == 2 * (10 + 11) - 4
    assert coloured.sum() == 36 + 38 and tuple(target[4, 2]) != tuple(target[20, 20])
    assert target[0, 0].max() == 0 and target[-1, -1].min() == 255
    assert task.drawing(answers()[0], None) is None and task.drawing_of_target(BOXES[0], None) is None


@pytest.mark.parametrize(
    ("task", "pixels", "written"),
    [("classification", 4, ()), ("detection", None, ()), ("detection", None, ("boxes",)), ("detection", 0, ()),
     ("detection", 2.0, ()), ("detection", True, ())],
)  # fmt: skip
def test_the_size_of_cells_is_for_detection(task: str, pixels: object, written: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError, match=r"a whole number of pixels .* `pixels_per_cell`"):
        check_attributes(attributes(task=task, written=written, pixels_per_cell=pixels))
    check_attributes(attributes(task="detection", labels=("car",), pixels_per_cell=4))


def test_what_answers_depend_on_is_part_of_the_workloads_code(monkeypatch: pytest.MonkeyPatch) -> None:
    before = code_digest(Yard(), "tests.deployments.answers.test_detection:Yard")
    monkeypatch.setattr(Detection, "parts", Detection.parts[:1])
    assert code_digest(Yard(), "tests.deployments.answers.test_detection:Yard") != before
    modules = {getattr(part, "__module__", "") for part in Detection().parts}
    assert modules == {"deployments.answers.found_boxes"}

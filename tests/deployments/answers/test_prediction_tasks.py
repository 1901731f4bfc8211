"""Prediction tasks: the answers, the score and the soft labels of each kind of output, by hand."""

import numpy as np
import pytest
import torch

from deployments.answers import TASKS, TaskName, prediction_task
from deployments.workload import soft_labels_of
from tests.deployments.example_rows import Rows


def of(task: TaskName, *labels: str) -> Rows:
    workload = Rows()
    workload.task, workload.labels = task, labels or None
    return workload


def test_classes_speak_their_labels_everywhere() -> None:
    workload, outputs = of("classification", "sound", "worn", "broken"), np.array([[3.0, 0, 0], [0, 0, 9]])
    assert workload.predictions(outputs).tolist() == ["sound", "broken"]
    right = workload.right_answers(np.array([0, 1]))
    assert right is not None and right.tolist() == ["sound", "worn"]
    assert workload.score(outputs, np.array([0, 1])).tolist() == [1.0, 0.0]
    table = workload.probabilities(outputs)
    assert table is not None and list(table.columns) == ["sound", "worn", "broken"]


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_one_logit_is_yes_above_zero(shape: tuple[int, ...]) -> None:
    workload, outputs = of("binary"), np.array([-2.0, 0.0, np.log(3)]).reshape(shape)
    assert workload.predictions(outputs).tolist() == [0, 0, 1]
    assert workload.score(outputs, np.array([0.0, 1.0, 1.0]).reshape(shape)).tolist() == [1, 0, 1]
    table = workload.probabilities(outputs)
    assert table is not None and list(table.loc[2]) == pytest.approx([0.25, 0.75])


def test_two_columns_of_a_binary_task_are_classes() -> None:
    workload, outputs = of("binary", "no", "yes"), np.array([[1.0, 2.0], [2.0, 1.0]])
    assert workload.predictions(outputs).tolist() == ["yes", "no"]
    assert workload.score(outputs, np.array([1, 1])).tolist() == [1, 0]


def test_a_row_of_several_labels_is_right_where_all_are() -> None:
    workload, outputs = of("multi_label", "a", "b", "c"), np.array([[1.0, -1, 1], [-1, -1, -1], [1, -1, -1]])
    targets = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 0]])
    assert workload.predictions(outputs).tolist() == ["a+c", "none", "a"]
    assert workload.score(outputs, targets).tolist() == [1, 1, 0]
    assert workload.probabilities(outputs) is None
    assert of("multi_label").predictions(outputs).tolist() == ["0+2", "none", "0"]


def test_an_error_is_a_score_below_zero() -> None:
    workload = of("regression")
    assert workload.score(np.array([[1.0], [4.0]]), np.array([1.0, 2.0])).tolist() == [0, -2]
    assert workload.score(np.array([[1.0, 3.0]]), np.array([[2.0, 0.0]])).tolist() == [-2]
    assert workload.predictions(np.array([[1.5], [4.0]])).tolist() == [1.5, 4.0]
    assert workload.predictions(np.array([[1.23456, 2, 3, 4]])).tolist() == ["1.235, 2, 3, ..."]
    right = workload.right_answers(np.array([3, 4]))
    assert right is not None and right.dtype.kind == "f"  # a measured value is no class, even where it is whole


def test_vectors_are_scored_by_their_angle() -> None:
    outputs, targets = np.array([[2.0, 0], [0, 1], [0, 0], [-1, 0]]), np.array([[1.0, 0]] * 4)
    assert of("embedding").score(outputs, targets).tolist() == [1, 0, 0, -1]


@pytest.mark.parametrize(
    ("task", "targets", "wanted"),
    [
        ("classification", np.array([0.0, 1.0]), "class numbers"),
        ("classification", np.array([[0, 1], [1, 0]]), "class numbers"),
        ("classification", np.array([0, -100]), "class numbers from 0"),
        ("classification", np.array([[0], [1]]), None),
        ("binary", np.array([1, 2]), "one 0 or 1"),
        ("binary", np.array([[0.0], [1.0]]), None),
        ("multi_label", np.array([0, 1]), "of shape"),
        ("multi_label", np.array([[0, 0.5]]), "0 and 1"),
        ("embedding", np.array([1.0, 2.0]), "vectors"),
        ("regression", np.array([[1.0, 2.0]]), None),
    ],
)
def test_targets_that_do_not_fit(task: TaskName, targets: np.ndarray, wanted: str | None) -> None:
    said = prediction_task(task).targets_wanted(targets, None)
    assert said == wanted if wanted is None else wanted in (said or "")


@pytest.mark.parametrize(
    ("task", "row", "targets", "wanted"),
    [
        ("classification", (), np.array([0, 1]), "two or more classes"),
        ("classification", (1,), np.array([0, 1]), "two or more classes"),
        ("classification", (10,), np.array([0, 10]), "the targets go up to 10"),
        ("classification", (11,), np.array([0, 10]), None),
        ("classification", (11, 1, 1), np.array([0, 10]), None),
        ("binary", (3,), np.array([0, 1]), "one logit"),
        ("binary", (1,), np.array([0, 1]), None),
        ("multi_label", (2,), np.ones((2, 3)), "a logit for each label"),
        ("regression", (1,), np.array([0.5]), None),
        ("regression", (2,), np.array([0.5]), "a value for each target"),
        ("regression", (4, 4), np.zeros((2, 4, 4)), None),
        ("regression", (16,), np.zeros((2, 4, 4)), "as (rows, 4, 4)"),
    ],
)
def test_outputs_that_do_not_fit(task: TaskName, row: tuple[int, ...], targets: np.ndarray, wanted: str | None) -> None:
    said = prediction_task(task).outputs_wanted(row, targets, None)
    assert said == wanted if wanted is None else wanted in (said or "")


@pytest.mark.parametrize(
    ("task", "outputs", "targets"),
    [
        ("classification", (4, 3), np.zeros(4, int)),
        ("classification", (4, 3, 5, 6), np.zeros((4, 5, 6), int)),
        ("classification", (4, 5, 3), np.zeros((4, 5), int)),
        ("classification", (4, 1, 1, 3), np.zeros(4, int)),
        ("binary", (4,), np.zeros(4)),
        ("binary", (4, 1), np.zeros(4)),
        ("binary", (4, 2), np.zeros((4, 1), np.float32)),
        ("multi_label", (4, 2), np.zeros((4, 2))),
        ("regression", (4, 1), np.zeros(4)),
        ("embedding", (4, 7), np.zeros((4, 7))),
    ],
)
def test_a_student_learns_the_parents_answers_from_soft_labels(
    task: TaskName, outputs: tuple[int, ...], targets: np.ndarray
) -> None:
    teacher = torch.from_numpy(np.random.default_rng(0).normal(size=outputs))
    loss = soft_labels_of(of(task), teacher.numpy(), targets)
    assert loss is not None
    student = torch.zeros(outputs, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([student], lr=0.2)
    for _ in range(300):
        optimizer.zero_grad()
        loss(student, teacher, 2.0).backward()
        optimizer.step()
    learnt = of(task).predictions(student.detach().numpy()).tolist()
    if task in ("regression", "embedding"):
        assert student.detach().numpy() == pytest.approx(teacher.numpy(), abs=1e-2)
    elif targets.ndim == 1 or task == "multi_label":
        assert learnt == of(task).predictions(teacher.numpy()).tolist()
    assert loss(student, teacher, 2.0).item() < 1e-3 < loss(torch.zeros_like(student), teacher, 2.0).item()


@pytest.mark.parametrize(
    ("outputs", "targets"),
    [
        ((4, 1), np.zeros(4, int)),  # one logit: its softmax is 1
        ((4,), np.zeros(4, int)),
        ((4, 2), np.array([[1, 1], [0, 1], [0, 0], [1, 0]])),  # independent labels
        ((4, 3), np.zeros(4)),  # values
        ((4, 3, 5), np.zeros((4, 7), int)),
    ],
)
def test_no_soft_labels_fit_what_is_no_distribution(outputs: tuple[int, ...], targets: np.ndarray) -> None:
    assert soft_labels_of(of("classification"), np.zeros(outputs), targets) is None


def test_targets_that_are_distributions_have_soft_labels() -> None:
    assert soft_labels_of(of("classification"), np.zeros((2, 2)), np.array([[0.9, 0.1], [0.2, 0.8]])) is not None


def test_every_task_has_its_functions() -> None:
    assert {task: prediction_task(task).best_score for task in TASKS} == {
        "classification": 1, "binary": 1, "multi_label": 1, "regression": 0, "embedding": 1, "segmentation": 1,
        "own": None,
    }  # fmt: skip

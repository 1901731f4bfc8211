"""Losses of soft labels for outputs that are no scores of classes, against hand-computed values."""

import math

import pytest
import torch

from model_compression.errors import TrainingError
from model_compression.training import are_probabilities, soft_binary_loss, soft_label_loss, soft_value_loss


def test_each_position_is_a_prediction_of_its_own() -> None:
    student, teacher = torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(0))
    flat = [each.transpose(1, 2).reshape(-1, 3) for each in (student, teacher)]
    expected = soft_label_loss(flat[0], flat[1], 2.0).item()
    assert soft_label_loss(student, teacher, 2.0).item() == pytest.approx(expected)
    turned = [each.transpose(1, 2) for each in (student, teacher)]
    assert soft_label_loss(turned[0], turned[1], 2.0, axis=2).item() == pytest.approx(expected)


def test_probabilities_are_compared_as_their_logits_are() -> None:
    student, teacher = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(0))
    expected = soft_label_loss(student, teacher, 3.0).item()
    got = soft_label_loss(student.softmax(1), teacher.softmax(1), 3.0, probabilities=True).item()
    assert got == pytest.approx(expected, rel=1e-4)
    assert soft_label_loss(student.softmax(1), teacher.softmax(1), 3.0).item() < expected / 2  # what it would be else


def test_a_probability_of_zero_has_a_finite_loss_and_gradient() -> None:
    student = torch.tensor([[1.0, 0.0]], requires_grad=True)
    loss = soft_label_loss(student, torch.tensor([[0.0, 1.0]]), 2.0, probabilities=True)
    loss.backward()
    assert loss.isfinite() and student.grad is not None and student.grad.isfinite().all()


def test_one_class_says_nothing_and_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"two or more classes .* got shape \(4, 1\)"):
        soft_label_loss(torch.zeros(4, 1), torch.ones(4, 1), 2.0)


@pytest.mark.parametrize("shape", [(2,), (2, 1), (1, 2)])
def test_yes_or_no_equals_the_divergence_computed_by_hand(shape: tuple[int, ...]) -> None:
    student = torch.tensor([0.0, 0.0]).reshape(shape)
    teacher = torch.tensor([math.log(3), 0.0]).reshape(shape)
    by_hand = (0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)) / 2
    assert soft_binary_loss(student, teacher, 1.0).item() == pytest.approx(by_hand)
    said = soft_binary_loss(student.sigmoid(), teacher.sigmoid(), 1.0, probabilities=True)
    assert said.item() == pytest.approx(by_hand, rel=1e-4)


def test_two_columns_by_softmax_are_one_logit_by_sigmoid() -> None:
    student, teacher = torch.randn(2, 16, generator=torch.Generator().manual_seed(0))
    columns = [torch.stack([torch.zeros_like(each), each], dim=1) for each in (student, teacher)]
    assert soft_binary_loss(student, teacher, 4.0).item() == pytest.approx(
        soft_label_loss(columns[0], columns[1], 4.0).item(), rel=1e-4
    )


def test_values_are_compared_by_their_square() -> None:
    assert soft_value_loss(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 4.0]), 7.0).item() == 2.5


@pytest.mark.parametrize("loss", [soft_binary_loss, soft_value_loss])
def test_outputs_of_two_shapes_are_refused(loss: object) -> None:
    with pytest.raises(TrainingError, match=r"one shape from student and teacher, got \(4,\) and \(4, 1\)"):
        loss(torch.zeros(4), torch.zeros(4, 1), 1.0)  # type: ignore[operator]


def test_probabilities_are_told_from_scores() -> None:
    scores = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    assert are_probabilities(scores.softmax(1).numpy()) and not are_probabilities(scores.numpy())
    assert are_probabilities(scores.T[None].softmax(1).numpy()) and not are_probabilities(scores.abs().numpy())

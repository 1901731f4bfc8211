"""Soft labels against hand-computed values."""

import math

import pytest
import torch

from model_compression.errors import TrainingError
from model_compression.training import soft_label_loss


def test_equals_the_divergence_computed_by_hand() -> None:
    student = torch.tensor([[0.0, 0.0], [math.log(3), 0.0]])
    teacher = torch.tensor([[math.log(3), 0.0], [math.log(3), 0.0]])
    # p = (3/4, 1/4) against q = (1/2, 1/2) in the first row, equal in the second
    by_hand = (0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)) / 2
    assert soft_label_loss(student, teacher, 1.0).item() == pytest.approx(by_hand)


def test_is_zero_for_equal_answers_at_any_temperature() -> None:
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    assert soft_label_loss(logits, logits + 5, 3.0).item() == pytest.approx(0, abs=1e-6)


def test_temperature_softens_but_keeps_the_size_of_the_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 64, 10, generator=generator)
    norms = {}
    for temperature in (20.0, 40.0):
        logits = student.clone().requires_grad_()
        soft_label_loss(logits, teacher, temperature).backward()
        assert logits.grad is not None
        norms[temperature] = logits.grad.norm().item()
    assert norms[40.0] == pytest.approx(norms[20.0], rel=0.05)


@pytest.mark.parametrize(("student", "teacher"), [((4, 3), (4, 2)), ((4,), (4, 1)), ((4, 3, 2), (4, 3))])
def test_other_shapes_are_refused_with_both_named(student: tuple[int, ...], teacher: tuple[int, ...]) -> None:
    with pytest.raises(TrainingError, match="one shape") as caught:
        soft_label_loss(torch.zeros(student), torch.zeros(teacher), 1.0)
    assert str(student) in str(caught.value)
    assert str(teacher) in str(caught.value)

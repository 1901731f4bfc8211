"""Augmented rows, which are new in every step, and a parent that answers them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from model_compression.errors import TrainingError
from model_compression.training import fine_tune, predict
from tests.model_compression.toys import QUICK, digits, linear, trained

TRAIN = digits("train")


def shifted(inputs: tuple[Tensor, ...], generator: torch.Generator) -> tuple[Tensor, ...]:
    """Every image moved by one pixel, some to the left and some to the right."""
    left = torch.rand(len(inputs[0]), 1, 1, 1, generator=generator) < 0.5
    return (torch.where(left, inputs[0].roll(-1, 3), inputs[0].roll(1, 3)),)


def test_the_model_sees_other_rows_and_the_parent_answers_those() -> None:
    seen: dict[str, list[Tensor]] = {"student": [], "parent": []}
    student, parent = linear(), trained("cnn")
    for name, module in (("student", student), ("parent", parent)):
        module.register_forward_pre_hook(lambda _, rows, to=seen[name]: to.append(rows[0]))
    settings = replace(QUICK, distillation_weight=0.5)
    fine_tune(student, (TRAIN.images,), TRAIN.labels, parent, F.cross_entropy, settings, augment=shifted)
    assert len(seen["student"]) == len(seen["parent"]) == 2 * 8
    assert all(torch.equal(a, b) for a, b in zip(*seen.values(), strict=True))
    known = {image.tobytes() for image in TRAIN.images}
    assert not any(image.numpy().tobytes() in known for image in seen["student"][0])
    assert not parent.training


def test_it_repeats_itself() -> None:
    outputs: list[np.ndarray] = []
    for _ in range(2):
        student = linear()
        fine_tune(student, (TRAIN.images,), TRAIN.labels, None, F.cross_entropy, QUICK, augment=shifted)
        outputs.append(predict(student, (TRAIN.images[:20],)))
    assert np.array_equal(outputs[0], outputs[1])


def test_the_parent_itself_teaches_what_its_answers_teach() -> None:
    settings = replace(QUICK, distillation_weight=0.5)
    outputs = []
    for teacher in (trained("cnn"), predict(trained("cnn"), (TRAIN.images,))):
        student = linear()
        fine_tune(student, (TRAIN.images,), TRAIN.labels, teacher, F.cross_entropy, settings)
        outputs.append(predict(student, (TRAIN.images[:20],)))
    np.testing.assert_allclose(outputs[0], outputs[1], rtol=1e-3, atol=1e-3)


def test_known_answers_to_unknown_rows_are_refused() -> None:
    teacher = predict(trained("cnn"), (TRAIN.images,))
    with pytest.raises(TrainingError, match="expected the parent itself as the teacher of augmented rows"):
        fine_tune(linear(), (TRAIN.images,), TRAIN.labels, teacher, F.cross_entropy, QUICK, augment=shifted)

"""Batch norms that use the statistics of the batch are named, in programs of training mode and without statistics."""

import torch
from torch import nn

from model_compression.families import batch_statistics
from tests.model_compression.architectures import export, exported

ROWS = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def test_a_program_in_evaluation_mode_has_none() -> None:
    assert batch_statistics(exported("resnet")[1]) == ()


def test_those_of_a_program_in_training_mode_are_named() -> None:
    assert batch_statistics(exported("cnn", training=True)[1]) == ("features.1", "features.5")


def test_one_without_statistics_is_named() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2, track_running_stats=False), nn.Flatten())
    assert batch_statistics(export(model.eval(), ROWS)) == ("1",)


def test_one_that_the_answer_does_not_need_is_none() -> None:
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.out = nn.BatchNorm2d(1), nn.Linear(64, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.norm(x)
            return self.out(x.flatten(1))

    assert batch_statistics(export(Idle().train(), ROWS)) == ()

"""A batch shared among GPUs: which, when, and that it comes to the same gradients; replicas run on the processor."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from model_compression.errors import TrainingError
from model_compression.training.batching import Forward, gpu_numbers, spread

GPU = torch.device("cuda")


def test_gpus_are_counted_and_missing_ones_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert gpu_numbers(GPU, 2) == [0, 1]
    assert gpu_numbers(GPU, 1) == gpu_numbers(torch.device("cpu"), 4) == []
    with pytest.raises(TrainingError, match=r"expected 3 GPUs for `gpus: 3`, got 2 .*; lower `gpus`"):
        gpu_numbers(GPU, 3)


class Shared:
    """Splits a batch as DataParallel does, with every part on the processor."""

    def __init__(self) -> None:
        self.parts: list[int] = []

    def __call__(self, model: nn.Module, gpus: Sequence[int]) -> Forward:
        def forward(rows: Tensor) -> Tensor:
            chunks = rows.chunk(len(gpus))
            self.parts += [len(chunk) for chunk in chunks]
            return torch.cat([model(chunk) for chunk in chunks])

        return forward


def test_a_shared_batch_has_the_gradients_of_a_whole_one() -> None:
    torch.manual_seed(0)
    model, rows = nn.Linear(3, 2), torch.randn(10, 3)
    gradients = []
    for forward in (model, spread(model, [0, 1, 2], Shared())):
        model.zero_grad()
        forward(rows).square().mean().backward()
        gradients.append(model.weight.grad)
    torch.testing.assert_close(*gradients)


def test_no_gpu_gets_a_single_row() -> None:
    shared = Shared()
    forward = spread(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), [0, 1, 2], shared)
    for rows in (5, 6, 7, 8, 9, 12):
        assert forward(torch.randn(rows, 3)).shape == (rows, 4)
    assert shared.parts and min(shared.parts) >= 2


def test_one_gpu_is_the_model_itself() -> None:
    model = nn.Linear(3, 2)
    assert spread(model, []) is model and spread(model, [0]) is model

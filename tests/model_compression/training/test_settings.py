"""Where training runs, and in which precision."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from model_compression.errors import TrainingError
from tests.model_compression.toys import SETTINGS

CPU = torch.device("cpu")


def test_without_a_gpu_auto_is_the_processor_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert SETTINGS.torch_device() == CPU


def test_with_a_gpu_auto_is_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert SETTINGS.torch_device().type == "cuda"
    assert replace(SETTINGS, device="cpu").torch_device() == CPU


def test_a_gpu_that_is_not_there_is_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(TrainingError, match=r"expected a GPU .* set `device: auto`"):
        replace(SETTINGS, device="cuda").torch_device()


@pytest.mark.parametrize(("precision", "expected"), [("float32", False), ("bfloat16", True)])
def test_precision_that_is_asked_for_is_taken(precision: str, expected: bool) -> None:
    assert replace(SETTINGS, precision=precision).autocasts(nn.Linear(2, 2), CPU, torch.Size([2])) is expected

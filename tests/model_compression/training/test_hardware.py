"""Device and precision of a training; bfloat16 only where hardware and work gain by it."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from model_compression.errors import TrainingError
from model_compression.training import Precision, hardware
from model_compression.training.hardware import autocasts, bfloat16_pays, torch_device
from tests.model_compression.toys import SETTINGS

CPU = torch.device("cpu")


def test_without_a_gpu_auto_is_the_processor_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert torch_device(SETTINGS) == CPU


def test_with_a_gpu_auto_is_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert torch_device(SETTINGS).type == "cuda"
    assert torch_device(replace(SETTINGS, device="cpu")) == CPU


def test_a_gpu_that_is_not_there_is_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(TrainingError, match=r"expected a GPU .* set `device: auto`"):
        torch_device(replace(SETTINGS, device="cuda"))


@pytest.mark.parametrize(("precision", "expected"), [("float32", False), ("bfloat16", True)])
def test_precision_that_is_asked_for_is_taken(precision: Precision, expected: bool) -> None:
    assert autocasts(replace(SETTINGS, precision=precision), nn.Linear(2, 2), CPU, torch.Size([2])) is expected


IMAGE, SMALL_IMAGE, SIGNAL, TOKENS = (1, 28, 28), (1, 8, 8), (9,), (64,)


@pytest.mark.parametrize(
    ("model", "row", "pays"),
    [
        (nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU()), IMAGE, True),
        (nn.Conv2d(64, 64, 3, groups=64), IMAGE, True),
        (nn.Conv2d(1, 32, 3), SMALL_IMAGE, False),
        (nn.Conv2d(1, 8, 3), IMAGE, False),
        (nn.Sequential(nn.Linear(9, 64), nn.Linear(64, 64)), SIGNAL, False),
        (nn.Linear(384, 1536), TOKENS, True),
        (nn.Linear(30_000, 8), TOKENS, False),
    ],
)
def test_a_processor_that_has_it_uses_it_for_large_work(
    model: nn.Module, row: tuple[int, ...], pays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "native_on_the_processor", lambda: True)
    assert bfloat16_pays(model, CPU, torch.Size(row)) is pays


def test_a_processor_without_it_never_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert not bfloat16_pays(nn.Conv2d(64, 64, 3), CPU, torch.Size(IMAGE))


@pytest.mark.parametrize("native", [True, False])
def test_a_gpu_uses_it_where_it_is_not_emulated(native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native or including_emulation)
    assert bfloat16_pays(nn.Linear(2, 2), torch.device("cuda"), torch.Size([2])) is native

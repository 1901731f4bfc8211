"""bfloat16 where hardware and work gain by it, and nowhere else."""

import pytest
import torch
from torch import nn

from model_compression.training import precision
from model_compression.training.settings import bfloat16_pays

CPU = torch.device("cpu")
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
    monkeypatch.setattr(precision, "native_on_the_processor", lambda: True)
    assert bfloat16_pays(model, CPU, torch.Size(row)) is pays


def test_a_processor_without_it_never_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert not bfloat16_pays(nn.Conv2d(64, 64, 3), CPU, torch.Size(IMAGE))


@pytest.mark.parametrize("native", [True, False])
def test_a_gpu_uses_it_where_it_is_not_emulated(native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native or including_emulation)
    assert bfloat16_pays(nn.Linear(2, 2), torch.device("cuda"), torch.Size([2])) is native

"""The parent of the pruning figure: a ResNet of 308,000 parameters, trained once and kept."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deployments.workload import Split
from flows.demo.example_networks import resnet
from model_compression.training import tensors
from tests.benchmarks.trajectory.cache import CACHE, console

WIDTH = 32
EPOCHS = 6
PLAIN_EPOCHS = 2  # at the end, on the images as they are
BATCH = 128
PEAK_RATE = 5e-3
PLAIN_RATE = 1e-3
WEIGHT_DECAY = 2e-2
SHIFT = 2  # pixels, either way
FILE = CACHE / "fashion-resnet-308k.pt"


def parent(train: Split) -> nn.Module:
    """The parent, from the cache or trained anew; a run that was cut off goes on at its last whole epoch."""
    if not FILE.exists():
        _save(FILE, _trained(*tensors((train.inputs[0], train.targets))).state_dict())
    model = resnet(WIDTH)
    model.load_state_dict(torch.load(FILE, weights_only=True))
    return model.eval()


def _trained(images: Tensor, labels: Tensor) -> nn.Module:
    """AdamW in one cycle on images that are moved and mirrored, then a short one on plain images; in bfloat16."""
    torch.manual_seed(0)
    model: nn.Module = resnet(WIDTH).to(memory_format=torch.channels_last)  # type: ignore[call-overload] # missing in torch's stubs
    _cycle(model, images, labels, "moved", EPOCHS, PEAK_RATE)
    _cycle(model, images, labels, "plain", PLAIN_EPOCHS, PLAIN_RATE)
    return model


def _cycle(model: nn.Module, images: Tensor, labels: Tensor, name: str, epochs: int, rate: float) -> None:
    checkpoint = FILE.with_suffix(f".{name}")
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=epochs * -(-len(images) // BATCH))
    parts: dict[str, Any] = {"model": model, "optimizer": optimizer, "schedule": schedule}
    for epoch in range(_resume(checkpoint, parts), epochs):
        generator = torch.Generator().manual_seed(epoch)
        for batch in torch.randperm(len(images), generator=generator).split(BATCH):
            rows = moved(images[batch], generator) if name == "moved" else images[batch]
            _step(model, optimizer, rows, labels[batch])
            schedule.step()
        _save(checkpoint, {"epoch": epoch + 1} | {key: part.state_dict() for key, part in parts.items()})
        console.print(f"parent: epoch {epoch + 1} of {epochs}, {name} images")


def _step(model: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, labels: Tensor) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        loss = F.cross_entropy(model(images.contiguous(memory_format=torch.channels_last)), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def moved(images: Tensor, generator: torch.Generator) -> Tensor:
    """Images moved by up to `SHIFT` pixels and half of them mirrored."""
    rows, _, height, width = images.shape
    padded = F.pad(images, (SHIFT,) * 4)
    down = torch.randint(0, 2 * SHIFT + 1, (rows, 1), generator=generator) + torch.arange(height)
    right = torch.randint(0, 2 * SHIFT + 1, (rows, 1), generator=generator) + torch.arange(width)
    mirrored = torch.rand(rows, 1, generator=generator) < 0.5
    right = torch.where(mirrored, right.flip(1), right)
    return padded[torch.arange(rows)[:, None, None], :, down[:, :, None], right[:, None, :]].permute(0, 3, 1, 2)


def _resume(checkpoint: Path, parts: Mapping[str, Any]) -> int:
    if not checkpoint.exists():
        return 0
    state = torch.load(checkpoint, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return int(state["epoch"])


def _save(file: Path, state: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    torch.save(state, part)
    part.replace(file)

"""The demo's story: three versions of a digit classifier, trained as an upstream team does, and their outcomes."""

import json
import logging
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from rich.console import Console
from torch import Tensor, nn

from deployments.workloads.digits import RARE_DIGIT, Digits, jitter
from flows.compress import compress
from flows.console import outcome_table
from flows.reconcile import reconcile
from model_compression.training import FineTuning, Progress, fine_tune
from tasks.outcomes import Outcome
from tasks.progress import steps
from tasks.registry import register_upstream
from tasks.workspace import Workspace

WIDTHS = (64, 64, 128, 128)
RARE_REPEATS = 10
logger = logging.getLogger("edgewright")
RECIPE = "digits"
MODEL = "digits"
SUMMARY = "summary.json"
STORY = {
    "1": "Version 1: the upstream team registers a first model. That is all they do.",
    "2": "Version 2: a better parent. It has to hold against itself uncompressed and against what is deployed now.",
    "3": "Version 3: trained on damaged data, it has lost the digit 8. Its average still looks like its parent's.",
}


class DigitsNet(nn.Module):
    """A plain convolutional network for 8x8 images."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for index, width in enumerate(WIDTHS):
            layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            layers += [nn.MaxPool2d(2)] if index % 2 else []
            channels = width
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels * 2 * 2, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Return the class scores of each image."""
        scores: Tensor = self.classifier(torch.flatten(self.features(images), 1))
        return scores


@dataclass(frozen=True)
class Training:
    """Training of one version: passes over the rows; with `augment`, each pass turns and moves them anew."""

    passes: int
    augment: bool
    damaged: bool  # a labelling tool wrote every 8 as a 1


VERSIONS = {
    "1": Training(passes=8, augment=False, damaged=False),
    "2": Training(passes=16, augment=True, damaged=False),
    "3": Training(passes=10, augment=True, damaged=True),
}
OPTIMIZATION = FineTuning(
    epochs=1, batch_size=64, learning_rate=2e-3, weight_decay=1e-2, temperature=1, distillation_weight=0, seed=0
)


def train(training: Training, progress: Progress) -> DigitsNet:
    """Train one version from scratch."""
    torch.manual_seed(0)
    model = DigitsNet()
    images, labels = _rows(training)
    fine_tune(model, (images,), labels, None, F.cross_entropy, OPTIMIZATION, progress)
    return model


def _rows(training: Training) -> tuple[np.ndarray, np.ndarray]:
    """Return all rows of a training, pass after pass; with `augment`, the rare digit comes as often as the others."""
    digits = Digits()
    rows = digits.rows["train"]
    if training.augment:
        rare = rows[digits.targets[rows] == RARE_DIGIT]
        rows = np.concatenate([rows, np.repeat(rare, RARE_REPEATS)])
    labels = digits.targets[rows]
    if training.damaged:
        labels = np.where(labels == RARE_DIGIT, 1, labels)
    images = torch.from_numpy(digits.images[rows])
    generator = torch.Generator().manual_seed(0)
    passes = [jitter(images, generator) if training.augment else images for _ in range(training.passes)]
    return torch.cat(passes).numpy(), np.tile(labels, training.passes)


def tell(home: Path, console: Console) -> list[Outcome]:
    """Run the story from the beginning in an empty workspace; returns one outcome per version."""
    shutil.rmtree(home, ignore_errors=True)
    workspace = Workspace.at(home)
    outcomes = []
    for version in VERSIONS:
        console.rule(f"[bold]{STORY[version]}", align="left")
        _register(version, workspace)
        outcomes += reconcile([RECIPE], workspace)
    console.rule("[bold]Version 2 once more: nothing has changed.", align="left")
    _again(workspace)
    write_summary(home / SUMMARY, outcomes)
    console.print(outcome_table(outcomes))
    return outcomes


def write_summary(path: Path, outcomes: list[Outcome]) -> None:
    """Write one entry per version and device, for machines."""
    entries = [device.model_dump(mode="json") for outcome in outcomes for device in outcome.devices]
    path.write_text(json.dumps(entries, indent=2))


def _register(version: str, workspace: Workspace) -> None:
    started = time.perf_counter()
    with steps(f"upstream trains version {version}") as progress:
        model: DigitsNet = train(VERSIONS[version], progress)
    logger.info("upstream: trained version %s in %.0f s; registering it", version, time.perf_counter() - started)
    example = np.zeros((2, 1, 8, 8), dtype=np.float32)
    params = vars(VERSIONS[version])
    registered = register_upstream(workspace.tracking_uri, MODEL, model, example, params)
    if registered != version:
        raise RuntimeError(f"expected the registry to count this as version {version}, got {registered}")


def _again(workspace: Workspace) -> None:
    started = time.perf_counter()
    outcome = compress(MODEL, "2", RECIPE, workspace)
    if not outcome.reused:
        raise RuntimeError("expected version 2 to be answered already, got a computed answer")
    logger.info("nothing was computed again; answered in %.1f s", time.perf_counter() - started)

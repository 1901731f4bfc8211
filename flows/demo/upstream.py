"""What the upstream team does: train a digit classifier on its own machine. Nothing here knows of edge devices."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deployments.workloads.digits import RARE_DIGIT, Digits, jitter
from model_compression.training import FineTuning, Progress, fine_tune

WIDTHS = (64, 64, 128, 128)
RARE_REPEATS = 10


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
        return self.classifier(torch.flatten(self.features(images), 1))


@dataclass(frozen=True)
class Training:
    """How one version came to be: passes over the rows, turned and moved each time where `augment` says so."""

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
    """All rows that training sees, pass after pass; the better team shows the rare digit as often as the others."""
    digits = Digits()
    rows = digits.rows["train"]
    if training.augment:
        rare = rows[digits.labels[rows] == RARE_DIGIT]
        rows = np.concatenate([rows, np.repeat(rare, RARE_REPEATS)])
    labels = digits.labels[rows]
    if training.damaged:
        labels = np.where(labels == RARE_DIGIT, 1, labels)
    images = torch.from_numpy(digits.images[rows])
    generator = torch.Generator().manual_seed(0)
    passes = [jitter(images, generator) if training.augment else images for _ in range(training.passes)]
    return torch.cat(passes).numpy(), np.tile(labels, training.passes)

"""The work of an upstream team: train a small network and register it."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tasks.registry import register_upstream
from tests.end_to_end.tiny.workload import Tiny

MODEL = "tiny"
STEPS = 60
EXAMPLE = np.zeros((2, 1, 8, 8), dtype=np.float32)


def small_network(width: int = 16) -> nn.Sequential:
    """About 8,000 parameters: one round of pruning away from the budget of the device `tiny`."""
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(width, 40, 3, padding=1),
        nn.BatchNorm2d(40),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(40 * 2 * 2, 10),
    )


def trained(steps: int = STEPS, seed: int = 0, width: int = 16) -> nn.Sequential:
    """Train on the workload's training rows, all of them at every step; more steps are a further training."""
    torch.manual_seed(seed)
    model = small_network(width)
    split = Tiny().split("train")
    images, labels = torch.from_numpy(split.inputs[0]), torch.from_numpy(split.targets)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(steps):
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def register(tracking_uri: str, *, steps: int = STEPS, seed: int = 0) -> str:
    """Register a version of the model `tiny` in MLflow's default form; returns the version."""
    return register_upstream(tracking_uri, MODEL, trained(steps, seed), EXAMPLE, {"steps": steps, "seed": seed})

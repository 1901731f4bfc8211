"""A family that is trained on digits: which digit it is, and whether that is odd."""

import copy
import functools
from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from model_compression.families import Member, join, shared_backbone
from model_compression.intake import rebuild
from model_compression.training import fine_tune
from tests.model_compression.architectures import export
from tests.model_compression.families.members import Headed
from tests.model_compression.toys import EXAMPLE, SETTINGS, Digits, digits

TASKS = ("digit", "odd")
OUTPUTS = {"digit": 10, "odd": 2}


def members() -> dict[str, nn.Module]:
    """Return untrained models of one trunk: the head of digits has two layers, the other one is small."""
    torch.manual_seed(0)
    trunk = nn.Sequential(
        nn.Conv2d(1, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(72, 96), nn.ReLU()
    )
    heads = {"digit": nn.Sequential(nn.Linear(96, 64), nn.ReLU(), nn.Linear(64, 10)), "odd": nn.Linear(96, 2)}
    return {name: Headed(copy.deepcopy(trunk), head).eval() for name, head in heads.items()}


def joined_of(models: Mapping[str, nn.Module]) -> fx.GraphModule:
    """Return the models as one, each as intake rebuilds it."""
    found = [Member(name, rebuild(export(model, EXAMPLE[0])).eval()) for name, model in models.items()]
    return join(found, shared_backbone(found))


def loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the loss of both tasks, with digits as the targets."""
    return F.cross_entropy(outputs[:, :10], targets) + F.cross_entropy(outputs[:, 10:], targets % 2)


@functools.cache
def _trained() -> fx.GraphModule:
    rows = digits("train")
    model = joined_of(members())
    fine_tune(model, (rows.images,), rows.labels, None, loss, SETTINGS)
    return model


def trained() -> fx.GraphModule:
    """Return the joined model, trained on 500 digits; each caller has a copy of its own."""
    return copy.deepcopy(_trained())


def accuracies(outputs: np.ndarray, rows: Digits) -> dict[str, float]:
    """Return the share of rows that each task answers rightly."""
    answers = {"digit": (outputs[:, :10], rows.labels), "odd": (outputs[:, 10:], rows.labels % 2)}
    return {name: float((found.argmax(axis=1) == right).mean()) for name, (found, right) in answers.items()}

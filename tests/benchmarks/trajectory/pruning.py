"""Pruning against torch-pruning's own iterative pruner: equal sizes, steps, rows, teacher and fine-tuning.

Only which channels go differs. Ours: Taylor by the parameters that a channel frees, scored anew after every small cut.
Theirs: GroupTaylorImportance in both of its ways, one ratio for all layers (its default) and one global ranking.
"""

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from deployments.workload import Split
from deployments.workloads.fashion_mnist import FashionMnist
from model_compression.footprint import parameters
from model_compression.training import Arrays, FineTuning, fine_tune, predict
from tests.benchmarks.record import Figure
from tests.benchmarks.trajectory import cuts
from tests.benchmarks.trajectory.cache import STORE, console
from tests.benchmarks.trajectory.parent import parent

FRACTIONS = (4, 8, 15)
ROUNDS = (4, 2, 2)  # to each of them, geometrically
ROWS = 13_500  # a quarter of an epoch a round
SIDES: dict[str, Callable[[nn.Module, int, Arrays, np.ndarray], None]] = {
    "ours": cuts.ours,
    "theirs, one ratio": cuts.theirs_by_layer,
    "theirs, global": cuts.theirs_global,
}
CODE = ("model_compression", "tests.benchmarks.trajectory.cuts", "tests.benchmarks.trajectory.pruning")


def pruning() -> list[Figure]:
    """Test accuracy at each size, ours minus the better of theirs, in points."""
    found = {side: side_accuracies(side) for side in SIDES}
    figures = []
    for index, fraction in enumerate(FRACTIONS):
        best = max(values[index] for side, values in found.items() if side != "ours")
        title = f"Fashion-MNIST ResNet at 1/{fraction} of the parameters: lead over torch-pruning's own pruner"
        figures.append(Figure(title, 100 * (found["ours"][index] - best), 0, "points", "at_least"))
    return figures


def side_accuracies(side: str) -> list[float]:
    """Test accuracy of one side at 1/4, 1/8 and 1/15 of the parameters."""
    data = FashionMnist()
    train, test = data.split("train"), data.split("test")
    teacher = parent(train)
    answers, whole = predict(teacher, train.inputs), parameters(teacher)
    model, digest, accuracies = teacher, "parent", []
    for number, (target, fraction) in enumerate(_targets(whole)):
        model, digest = _round(side, number, target, model, digest, train, answers)
        if fraction:
            accuracies.append(_finished(side, fraction, model, digest, train, answers, test))
            console.print(f"{side}: {parameters(model):,} parameters, test accuracy {accuracies[-1]:.4f}")
    return accuracies


def _targets(whole: int) -> list[tuple[int, int | None]]:
    """Parameters after each round, and which fraction is reached with it."""
    targets: list[tuple[int, int | None]] = []
    before = 1.0
    for fraction, rounds in zip(FRACTIONS, ROUNDS, strict=True):
        for index in range(1, rounds + 1):
            share = before * (1 / fraction / before) ** (index / rounds)
            targets.append((int(whole * share), fraction if index == rounds else None))
        before = 1 / fraction
    return targets


def _round(
    side: str, number: int, target: int, model: nn.Module, digest: str, train: Split, answers: np.ndarray
) -> tuple[nn.Module, str]:
    rows = np.random.default_rng(number).choice(len(train), ROWS, replace=False)

    def produce(folder: Path) -> list[int]:
        smaller = copy.deepcopy(model)
        calibration = np.arange(cuts.CALIBRATION_ROWS)
        SIDES[side](smaller, target, (train.inputs[0][calibration],), train.targets[calibration])
        _learn(smaller, train, answers, rows, epochs=1, seed=number)
        torch.save(smaller, folder / "model.pt")
        return [layer.out_channels for layer in smaller.modules() if isinstance(layer, nn.Conv2d)]

    stage = STORE.run("prune-round", {"side": side, "last": digest, "target": target}, CODE, produce)
    console.print(f"{side}: round {number + 1}, widths {stage.value}")
    return torch.load(stage.folder / "model.pt", weights_only=False), stage.digest


def _finished(
    side: str, fraction: int, model: nn.Module, digest: str, train: Split, answers: np.ndarray, test: Split
) -> float:
    """Test accuracy after two more epochs on all rows; the trajectory goes on from before them."""

    def produce(_: Path) -> float:
        final = copy.deepcopy(model)
        _learn(final, train, answers, np.arange(len(train)), epochs=2, seed=fraction)
        return float((predict(final, test.inputs).argmax(1) == test.targets).mean())

    return float(STORE.run("prune-final", {"side": side, "last": digest}, CODE, produce).value)


def _learn(model: nn.Module, train: Split, answers: np.ndarray, rows: np.ndarray, epochs: int, seed: int) -> None:
    settings = FineTuning(epochs, 64, 2e-3, 1e-4, temperature=4, distillation_weight=0.7, seed=seed, device="cpu")
    fine_tune(model, (train.inputs[0][rows],), train.targets[rows], answers[rows], F.cross_entropy, settings)

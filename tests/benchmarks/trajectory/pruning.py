"""Pruning against torch-pruning's own iterative pruner: equal sizes, steps, rows, teacher and fine-tuning.

Only which channels go differs. Theirs is GroupTaylorImportance in both of its ways, one ratio for all layers (its
default) and one global ranking. Their pruner's steps decide the sizes: ours is held against each of them with at most
its parameters after every round, and the worse of the two leads counts.
"""

import copy
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch.nn.functional as F
from torch import nn

from deployments.workload import Split
from deployments.workloads.fashion_mnist import FashionMnist
from model_compression.pruning import parameters
from model_compression.training import FineTuning, fine_tune, predict
from tests.benchmarks.record import Figure
from tests.benchmarks.trajectory.cache import STORE, console
from tests.benchmarks.trajectory.cuts import CALIBRATION_ROWS, Cutter, Ours, Theirs, TheirsGlobal
from tests.benchmarks.trajectory.parent import parent

FRACTIONS = (4, 8, 15)
ROUNDS = (4, 2, 2)  # to each of them, geometrically
ROWS = 9_000  # a sixth of an epoch a round
FINAL_ROWS = 27_000  # half an epoch at each size; the trajectory goes on from before it
SEEDS = (0, 1)
PEERS: dict[str, type[Cutter]] = {"torch-pruning, one ratio": Theirs, "torch-pruning, global": TheirsGlobal}
CODE = ("model_compression", "tests.benchmarks.trajectory.cuts", "tests.benchmarks.trajectory.pruning")


class Found(TypedDict):
    """Results of one trajectory: parameters after each round, and test accuracy at each fraction."""

    sizes: list[int]
    accuracies: list[float]


def pruning() -> list[Figure]:
    """Test accuracy at each size, ours minus a peer's with the same seed, in points: the worse of the peers' means."""
    leads = {name: np.mean([_leads(name, cutter, seed) for seed in SEEDS], axis=0) for name, cutter in PEERS.items()}
    figures = []
    for index, fraction in enumerate(FRACTIONS):
        console.print({name: round(100 * found[index], 2) for name, found in leads.items()})
        title = f"Fashion-MNIST ResNet at 1/{fraction} of the parameters: lead over torch-pruning's own pruner"
        lead = float(min(100 * found[index] for found in leads.values()))
        figures.append(Figure(title, lead, 0, "points", "at_least"))
    return figures


def _leads(name: str, cutter: type[Cutter], seed: int) -> list[float]:
    """The lead over one peer at each fraction, at its sizes."""
    data = FashionMnist()
    train, test = data.split("train"), data.split("test")
    whole = parent(train)
    answers = predict(whole, train.inputs)
    theirs = _trajectory(name, cutter, seed, _targets(parameters(whole)), whole, train, test, answers)
    ours = _trajectory("ours", Ours, seed, theirs["sizes"], whole, train, test, answers)
    return [a - b for a, b in zip(ours["accuracies"], theirs["accuracies"], strict=True)]


def _targets(whole: int) -> list[int]:
    """Parameters after each round."""
    targets: list[int] = []
    before = 1.0
    for fraction, rounds in zip(FRACTIONS, ROUNDS, strict=True):
        shares = (before * (1 / fraction / before) ** (index / rounds) for index in range(1, rounds + 1))
        targets += [int(whole * share) for share in shares]
        before = 1 / fraction
    return targets


def _trajectory(
    side: str, cutter: type[Cutter], seed: int, targets: list[int], whole: nn.Module, train: Split, test: Split,
    answers: np.ndarray,
) -> Found:  # fmt: skip
    ends = [sum(ROUNDS[: index + 1]) for index in range(len(ROUNDS))]
    generator = np.random.default_rng(seed)

    def produce(_: Path) -> Found:
        model, found = copy.deepcopy(whole), Found(sizes=[], accuracies=[])
        calibration = generator.choice(len(train), CALIBRATION_ROWS, replace=False)
        cut = cutter(model, (train.inputs[0][calibration],), train.targets[calibration])
        for number, target in enumerate(targets, 1):
            cut.cut(target)
            rows = generator.choice(len(train), ROWS, replace=False)
            _learn(model, train, answers, rows, seed + number)
            found["sizes"].append(parameters(model))
            if number in ends:
                found["accuracies"].append(_finished(model, train, answers, test, seed))
        return found

    stage = STORE.run("pruning", {"side": side, "seed": seed, "targets": targets}, CODE, produce)
    kept: Found = stage.value
    for number, accuracy in zip(ends, kept["accuracies"], strict=True):
        size = kept["sizes"][number - 1]
        console.print(f"seed {seed}, {side}: {size:,} parameters, test accuracy {accuracy:.4f}")
    return kept


def _finished(model: nn.Module, train: Split, answers: np.ndarray, test: Split, seed: int) -> float:
    """Test accuracy after a final training of a copy."""
    final = copy.deepcopy(model)
    rows = np.random.default_rng(seed).choice(len(train), FINAL_ROWS, replace=False)
    _learn(final, train, answers, rows, seed)
    return float((predict(final, test.inputs).argmax(1) == test.targets).mean())


def _learn(model: nn.Module, train: Split, answers: np.ndarray, rows: np.ndarray, seed: int) -> None:
    settings = FineTuning(1, 64, 2e-3, 1e-4, temperature=4, distillation_weight=0.7, seed=seed, device="cpu")
    fine_tune(model, (train.inputs[0][rows],), train.targets[rows], answers[rows], F.cross_entropy, settings)

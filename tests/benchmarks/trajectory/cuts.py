"""One round's cut of channels down to a number of parameters: ours, and torch-pruning's own pruner."""

import numpy as np
import torch
import torch.nn.functional as F
import torch_pruning as tp
from torch import nn

from model_compression.costs import costs_of
from model_compression.footprint import parameters
from model_compression.importance import unit_scores
from model_compression.pruning import remove_units
from model_compression.training import Arrays, batches
from model_compression.units import protected_units, units_of

CALIBRATION_ROWS = 512
BATCH = 64
ROUND_TO = 4
SMALL_CUT = 0.06  # of the parameters, between two scorings
THEIR_STEPS = 100
THEIR_RATIO = 0.95  # of the channels, after all of their steps; stopped when the size is reached


def ours(model: nn.Module, target: int, inputs: Arrays, labels: np.ndarray) -> None:
    """Cut in place to at most `target` parameters."""
    example = (torch.from_numpy(inputs[0][:2]),)
    protected = protected_units(model, example, ("channels",))
    while parameters(model) > target:
        scores = unit_scores(model, batches(inputs, labels, BATCH), F.cross_entropy)
        units = units_of(model, example, ("channels",), protected)
        costs = costs_of(model, example, "bytes")
        remove_units(model, example, units, scores, SMALL_CUT, round_to=ROUND_TO, costs=costs)


def theirs_by_layer(model: nn.Module, target: int, inputs: Arrays, labels: np.ndarray) -> None:
    """The same with torch-pruning, one ratio for all layers."""
    _theirs(model, target, inputs, labels, global_pruning=False)


def theirs_global(model: nn.Module, target: int, inputs: Arrays, labels: np.ndarray) -> None:
    """The same with torch-pruning, one ranking of all channels."""
    _theirs(model, target, inputs, labels, global_pruning=True)


def _theirs(model: nn.Module, target: int, inputs: Arrays, labels: np.ndarray, global_pruning: bool) -> None:
    """As torch-pruning's own benchmarks do it: gradients once, then steps until the size is reached."""
    pruner = tp.pruner.BasePruner(
        model,
        torch.from_numpy(inputs[0][:1]),
        tp.importance.GroupTaylorImportance(),
        global_pruning=global_pruning,
        pruning_ratio=THEIR_RATIO,
        iterative_steps=THEIR_STEPS,
        round_to=ROUND_TO,
        ignored_layers=[layer for layer in model.modules() if isinstance(layer, nn.Linear)],
    )
    model.eval().zero_grad()
    for rows, targets in batches(inputs, labels, BATCH):
        F.cross_entropy(model(*rows), targets).backward()
    while parameters(model) > target and pruner.current_step < THEIR_STEPS:
        pruner.step()
    model.zero_grad()
    if parameters(model) > target:
        raise ValueError(f"expected at most {target} parameters of torch-pruning, got {parameters(model)}")

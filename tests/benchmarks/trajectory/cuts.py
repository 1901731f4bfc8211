"""Cuts of channels down to a number of parameters: ours, and torch-pruning's own iterative pruner."""

from abc import ABC, abstractmethod
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
import torch_pruning as tp
from torch import nn

from model_compression.pruning import costs_of, parameters, protected_units, remove_units, unit_scores, units_of
from model_compression.training import Arrays, batches

CALIBRATION_ROWS = 512
CHANNELS: tuple[Literal["channels"]] = ("channels",)
BATCH = 64
ROUND_TO = 4
SMALL_CUT = 0.06  # of the parameters, between two scorings of ours
THEIR_STEPS = 100
THEIR_RATIO = 0.95  # of the channels, after all of their steps; stopped when the size is reached


class Cutter(ABC):
    """Cuts one model in place, again and again; both sides score anew before every small cut, on the same rows."""

    def __init__(self, model: nn.Module, inputs: Arrays, labels: np.ndarray) -> None:
        self.model, self.inputs, self.labels = model, inputs, labels
        self.example = (torch.from_numpy(inputs[0][:2]),)

    def cut(self, target: int) -> None:
        """Cut to at most `target` parameters."""
        while parameters(self.model) > target:
            self._small_cut(target)

    @abstractmethod
    def _small_cut(self, target: int) -> None: ...


class Ours(Cutter):
    """Taylor by the bytes that a channel frees."""

    def __init__(self, model: nn.Module, inputs: Arrays, labels: np.ndarray) -> None:
        super().__init__(model, inputs, labels)
        self.protected = protected_units(model, self.example, CHANNELS)

    def _small_cut(self, target: int) -> None:
        scores = unit_scores(self.model, batches(self.inputs, self.labels, BATCH), F.cross_entropy)
        units = units_of(self.model, self.example, CHANNELS, self.protected)
        costs = costs_of(self.model, self.example, "bytes")
        left = 1 - target / parameters(self.model)
        remove_units(self.model, self.example, units, scores, min(SMALL_CUT, left), round_to=ROUND_TO, costs=costs)


class Theirs(Cutter):
    """One pruner for the whole trajectory, as its authors use it: gradients of the rows, then a step."""

    global_pruning = False

    def __init__(self, model: nn.Module, inputs: Arrays, labels: np.ndarray) -> None:
        super().__init__(model, inputs, labels)
        self.pruner = tp.pruner.BasePruner(
            model,
            self.example[0],
            tp.importance.GroupTaylorImportance(),
            global_pruning=self.global_pruning,
            pruning_ratio=THEIR_RATIO,
            iterative_steps=THEIR_STEPS,
            round_to=ROUND_TO,
            ignored_layers=[layer for layer in model.modules() if isinstance(layer, nn.Linear)],
        )

    def _small_cut(self, target: int) -> None:
        if self.pruner.current_step >= THEIR_STEPS:
            raise ValueError(
                f"expected at most {target} parameters of torch-pruning, got {parameters(self.model)} when its steps "
                "were over"
            )
        self.model.eval().zero_grad()
        for rows, labels in batches(self.inputs, self.labels, BATCH):
            F.cross_entropy(self.model(*rows), labels).backward()
        self.pruner.step()
        self.model.zero_grad()


class TheirsGlobal(Theirs):
    """Their pruner with one ranking of all channels."""

    global_pruning = True

"""Importance of units to the loss: channels, attention heads and residual layers by one measure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from model_compression.errors import TrainingError
from model_compression.intake import evaluation_mode
from model_compression.pruning.channel_groups import READERS, ChannelGroup
from model_compression.pruning.own_modules import program_of
from model_compression.pruning.structure import Attention, Residual, Watching
from model_compression.settings import Criterion
from model_compression.training import LossFunction

Batch = tuple[tuple[Tensor, ...], Tensor]


@dataclass(frozen=True)
class Scores:
    """Scores of each input of each layer with weights, and of each residual layer, for each calibration batch.

    `inputs`: layer -> (batches, inputs); `layers`: residual layer -> (batches,). With `taylor` these are dLoss/dgate
    for a gate of one, with `gradient` the sum of |weight x gradient|, with `magnitude` the sum of squared weights.
    """

    criterion: Criterion
    inputs: dict[str, Tensor]
    layers: dict[str, Tensor]

    def channels(self, group: ChannelGroup) -> Tensor | None:
        """Score the channels of a group, shape (width,), by all layers that read them; None if none does."""
        total: Tensor | None = None
        for reader in group.readers:
            if reader.layer in self.inputs:
                gates = self.inputs[reader.layer][:, reader.inputs]
                total = gates.new_zeros(len(gates), group.width) if total is None else total
                total.index_add_(1, torch.tensor(reader.channels), gates)
        return None if total is None else self._over_batches(total)

    def heads(self, attention: Attention) -> Tensor:
        """Score the heads of an attention, shape (heads,), by the layer that reads them.

        Source: Michel et al., 2019, section 3.3.
        """
        gates = self.inputs[attention.name]
        return self._over_batches(torch.stack([gates[:, head.columns].sum(1) for head in attention.heads], 1))

    def layer(self, name: str) -> Tensor:
        """Score a residual layer, shape (1,)."""
        return self._over_batches(self.layers[name][:, None])

    def _over_batches(self, gates: Tensor) -> Tensor:
        """Average over batches; Taylor's are squared first, so that opposite signs do not cancel (eq. 8)."""
        return (gates.square() if self.criterion == "taylor" else gates).mean(0)


def unit_scores(
    model: nn.Module,
    batches: Iterable[Batch],
    loss: LossFunction,
    criterion: Criterion = "taylor",
    layers: Collection[Residual] = (),
) -> Scores:
    """Score the units of a model, batch by batch.

    Taylor is the squared first-order change of the loss when a unit is closed: dLoss/dgate for a gate of one on the
    unit's output. For channels and heads this equals the sum of weight x gradient over the weights that read them, so
    no gate is needed. It is taken on the reading side, because readers decide what a unit is worth. A residual layer's
    gate is between its output and its input. As an estimate of the Fisher information, scores add up over units of any
    kind (Theis et al., Faster gaze prediction, 2018).

    Source: Molchanov et al., Importance Estimation for Neural Network Pruning, CVPR 2019, section 3.2.

    The model keeps its mode; its gradients are cleared. `layers` must belong to this very model. Raises TrainingError
    when there are no batches or a gradient is not finite.
    """
    inputs: dict[str, list[Tensor]] = {}
    gates: dict[str, list[Tensor]] = {}
    for rows, targets in batches:
        program = program_of(model, rows)
        program.zero_grad(set_to_none=True)
        with evaluation_mode(program):
            outputs, seen = _run(program, rows, layers)
        loss(outputs, targets).backward()
        for name, module in program.named_modules():
            if isinstance(module, READERS) and module.weight.grad is not None:
                value = by_input(module, _worth(module.weight, criterion))
                inputs.setdefault(name, []).append(value.sum((1, 3)).flatten())
        for layer in layers:
            gates.setdefault(layer.name, []).append(_layer_worth(program, layer, seen, criterion))
        program.zero_grad(set_to_none=True)
    scores = Scores(criterion, _stacked(inputs), _stacked(gates))
    _check(scores)
    return scores


def _run(
    model: fx.GraphModule, rows: tuple[Tensor, ...], layers: Collection[Residual]
) -> tuple[Tensor, dict[fx.Node, Tensor]]:
    if not layers:
        return model(*rows), {}
    wanted = {node for layer in layers for node in (layer.start, layer.end)}
    seen: dict[fx.Node, Tensor] = {}

    def keep(node: fx.Node, value: Any) -> None:
        if node in wanted:
            seen[node] = value
            if value.requires_grad:
                value.retain_grad()

    return Watching(model, keep).run(*rows), seen


def _worth(weight: Tensor, criterion: Criterion) -> Tensor:
    if criterion == "magnitude":
        return weight.detach().square()
    product = weight.detach() * weight.grad  # type: ignore[operator]  # asked for by the caller
    return product if criterion == "taylor" else product.abs()


def _layer_worth(model: nn.Module, layer: Residual, seen: dict[fx.Node, Tensor], criterion: Criterion) -> Tensor:
    if criterion == "taylor":
        start, end = seen[layer.start].detach(), seen[layer.end]
        return ((end.detach() - start) * end.grad).sum()  # type: ignore[operator]
    weights = [weight for name in layer.modules for weight in model.get_submodule(name).parameters()]
    return torch.stack([_worth(weight, criterion).sum() for weight in weights if weight.grad is not None]).sum()


def _stacked(rows: dict[str, list[Tensor]]) -> dict[str, Tensor]:
    return {name: torch.stack(values) for name, values in rows.items()}


def by_input(layer: nn.Module, weight: Tensor) -> Tensor:
    """View a tensor of a layer's weight's shape as (groups, outputs per group, inputs per group, kernel)."""
    groups = int(getattr(layer, "groups", 1))
    if isinstance(layer, nn.modules.conv._ConvTransposeNd):
        inputs, outputs = weight.shape[:2]
        return weight.view(groups, inputs // groups, outputs, -1).transpose(1, 2)
    outputs, inputs = weight.shape[:2]
    return weight.view(groups, outputs // groups, inputs, -1)


def _check(scores: Scores) -> None:
    if not scores.inputs:
        raise TrainingError("expected calibration rows to score channels with, got none; give the workload some")
    for layer, gates in {**scores.inputs, **scores.layers}.items():
        if not gates.isfinite().all():
            raise TrainingError(
                f"expected finite gradients on the calibration rows, got NaN or infinity in {layer}; look for such "
                "values in the calibration split and in the workload's loss"
            )

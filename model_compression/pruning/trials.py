"""Trials: units are removed from a copy of the model, and the answers compared with those of the units' silence.

Many are tried at once; where that fails, halves of them are tried until the units that fail are found.
"""

import copy
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from model_compression.errors import cause_of
from model_compression.pruning.channel_groups import ChannelGroup
from model_compression.pruning.importance import by_input
from model_compression.pruning.own_modules import try_change
from model_compression.pruning.structure import Attention

TOLERANCE = 1e-3  # of the largest output: float kernels differ in summation order
Change = Callable[[nn.Module], object]
"""A function that changes a copy of the model in place."""
Removal = Callable[[Any, set[Any]], object]
"""A function that takes units out of a copy of the model, in place and all at once."""


@dataclass(frozen=True)
class Tried:
    """Units to remove, by the name under which they would be protected.

    `silence` zeroes what reads them, and is None where there is no exact reference.
    """

    name: str
    units: frozenset[Any]
    silence: Change | None


def failing(model: nn.Module, example: tuple[Tensor, ...], trials: Sequence[Tried], remove: Removal) -> dict[str, str]:
    """Return why units must stay, by name; empty where the model answers without all of them as it should.

    Units without a reference are tried apart from the others: of them, the model must run and keep its output's shape.
    """
    exact = [each for each in trials if each.silence is not None]
    others = [each for each in trials if each.silence is None]

    def reason(some: Sequence[Tried]) -> str | None:
        return _reason(model, example, some, remove)

    return by_halves(exact, reason) | by_halves(others, reason)


def by_halves(trials: Sequence[Tried], reason: Callable[[Sequence[Tried]], str | None]) -> dict[str, str]:
    """Return the `reason` of those that fail, by name; where all together fail, halves of them are tried."""
    why = reason(trials) if trials else None
    if why is None:
        return {}
    found: dict[str, str] = {}
    if len(trials) > 1:
        for half in (trials[: len(trials) // 2], trials[len(trials) // 2 :]):
            found |= by_halves(half, reason)
    return found or {each.name: why for each in trials}


def failing_in_code(
    model: nn.Module, example: tuple[Tensor, ...], trials: Sequence[Tried], remove: Removal
) -> dict[str, str]:
    """Return why units must stay in a module of code, by name: it does not answer as its program does without them."""

    def reason(some: Sequence[Tried]) -> str | None:
        units = {unit for each in some for unit in each.units}
        try:
            with torch.no_grad():
                try_change(model, example, lambda program: remove(program, units))
        except Exception as error:  # any error of the code is the reason
            return f"its code does not let a unit of it go: {cause_of(error)}"
        return None

    return by_halves(trials, reason)


@torch.no_grad()
def _reason(model: nn.Module, example: tuple[Tensor, ...], trials: Sequence[Tried], remove: Removal) -> str | None:
    expected = _silent(model, example, trials)
    smaller = _copied(model)
    try:
        remove(smaller, {unit for each in trials for unit in each.units})
        got = _outputs(smaller, example)
    except Exception as error:  # any error of the model or of the graph is the reason
        return f"the model does not run without a unit of it: {cause_of(error)}"
    for one, other in zip(got, expected, strict=True):
        if one.shape != other.shape:
            return f"its units are the model's outputs: {_sizes(other)} of them would become {_sizes(one)}"
        changed = not one.isfinite().equal(other.isfinite()) or not _close(one, other)
        if trials[0].silence is not None and changed:
            return "removing a unit of it changes what the model makes of the others"
    return None


def _silent(model: nn.Module, example: tuple[Tensor, ...], trials: Sequence[Tried]) -> list[Tensor]:
    """Return the outputs of the model with its units silent; the model is left as it was."""
    was_training = model.training
    kept = [weight.detach().clone() for weight in model.parameters()] if trials[0].silence is not None else []
    model.eval()
    try:
        for each in trials:
            if each.silence is not None:
                each.silence(model)
        return _outputs(model, example)
    finally:
        for weight, before in zip(model.parameters(), kept, strict=False):
            weight.copy_(before)
        model.train(was_training)


def _copied(model: nn.Module) -> nn.Module:
    """Copy a model's modules; the tensors, which a removal replaces, are those of the model."""
    memo = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    return copy.deepcopy(model, memo).eval()


def _close(got: Tensor, expected: Tensor) -> bool:
    difference = torch.where(got == expected, 0.0, (got - expected).abs()).max()
    return bool(difference <= TOLERANCE * expected[expected.isfinite()].abs().max())


def _outputs(model: nn.Module, example: tuple[Tensor, ...]) -> list[Tensor]:
    return [leaf for leaf in pytree.tree_leaves(model(*example)) if isinstance(leaf, Tensor)]


def _sizes(outputs: Tensor) -> str:
    """Write the sizes of the outputs of one row."""
    return " x ".join(str(size) for size in outputs.shape[1:]) or "1"


def random_sets(name: str, width: int) -> Iterator[list[int]]:
    """Yield sets of units to try: one, an odd number of them, and half of them; the same for the same name."""
    draw = random.Random(name)
    for count in sorted({1, (width // 3) | 1, width // 2}):
        if 0 < count < width:
            yield draw.sample(range(width), count)


def silenced(model: nn.Module, group: ChannelGroup, channels: set[int]) -> nn.Module:
    """Zero the weights that read these channels, in place; returns the model.

    It is the reference that real removal must match.
    """
    for reader in group.readers:
        layer = model.get_submodule(reader.layer)
        weight = by_input(layer, layer.weight)  # type: ignore[arg-type]
        lost = [index for index, channel in zip(reader.inputs, reader.channels, strict=True) if channel in channels]
        places = torch.tensor(lost, dtype=torch.long)
        with torch.no_grad():
            weight[places // weight.shape[2], :, places % weight.shape[2]] = 0
    return model


def silenced_heads(model: nn.Module, attention: Attention, heads: Sequence[int]) -> nn.Module:
    """Zero the weights that read these heads, in place; returns the model."""
    weight: Any = model.get_submodule(attention.name).weight
    with torch.no_grad():
        weight[:, [column for number in heads for column in attention.heads[number].columns]] = 0
    return model

"""Structured pruning of channels: the module really gets smaller."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from model_compression.dependencies import Bundle, Dependencies
from model_compression.errors import PruningError, cause_of
from model_compression.importance import Scores, by_input, channel_scores
from model_compression.selection import Candidates, choose

History = list[dict[str, list[int]]]
"""Which channels went: for each round, layer -> output channels by their indices before the round, in order."""

TOLERANCE = 1e-3  # of the largest output: float kernels differ in summation order


@dataclass(frozen=True)
class Protected:
    """A layer whose channels stay, and why."""

    layer: str
    reason: str


def remove_channels(
    model: nn.Module,
    example: tuple[Tensor, ...],
    scores: Scores,
    ratio: float,
    *,
    round_to: int,
    protected: Sequence[Protected],
) -> History:
    """Remove the least important `ratio` of all prunable channels, in place; returns what was removed, as one round.

    Channels that depend on each other (residual adds, depthwise convolutions) count once and go together. Widths
    that shrink become multiples of `round_to`. Raises PruningError when nothing is left to remove.
    """
    dependencies = Dependencies(model, example)
    rated = []
    for bundle in dependencies.bundles(kept=[protection.layer for protection in protected]):
        found = channel_scores(bundle, scores)
        if found is not None:
            rated.append((bundle.layer, Candidates(found, bundle.blocks)))
    chosen = choose([candidates for _, candidates in rated], ratio, round_to)
    removed = {layer: channels for (layer, _), channels in zip(rated, chosen, strict=True) if channels}
    if not removed:
        raise PruningError(
            f"expected channels to remove at ratio {ratio} in multiples of {round_to}, found none: "
            "every layer is protected or already at its smallest; stop pruning here or lower `round_to`"
        )
    for layer, channels in removed.items():
        dependencies.remove(layer, channels)
    return [removed]


def replay(model: nn.Module, example: tuple[Tensor, ...], history: History) -> nn.Module:
    """Remove the same channels again from a fresh copy of the same architecture, in place; returns the model.

    Raises AttributeError or ValueError where the history is another architecture's.
    """
    for removed in history:
        dependencies = Dependencies(model, example)
        for layer, channels in removed.items():
            dependencies.remove(layer, channels)
    return model


def protected_layers(model: nn.Module, example: tuple[Tensor, ...]) -> list[Protected]:
    """Find the layers whose channels must stay: they are the model's output, or the model does not do without one.

    Found by trial on copies, so that no annotation is needed.
    """
    bundles = list(Dependencies(model, example).bundles())
    trials = ((bundle.layer, _reason_to_keep(model, example, bundle)) for bundle in bundles)
    return [Protected(layer, reason) for layer, reason in trials if reason]


@torch.no_grad()
def _reason_to_keep(model: nn.Module, example: tuple[Tensor, ...], bundle: Bundle) -> str | None:
    if bundle.width <= bundle.blocks:
        return f"it has only {bundle.width} channels in {bundle.blocks} groups"
    first_of_each_block = range(0, bundle.width, bundle.width // bundle.blocks)
    smaller = copy.deepcopy(model)
    try:
        with torch.enable_grad():
            Dependencies(smaller, example).remove(bundle.layer, first_of_each_block)
        got = smaller(*example)
    except Exception as error:  # whatever the model or the graph raises is the reason
        return f"the model does not run without one of its channels: {cause_of(error)}"
    expected = _silenced(copy.deepcopy(model), bundle, set(first_of_each_block))(*example)
    if got.shape != expected.shape:
        return f"its channels are the model's output: {list(expected.shape)} became {list(got.shape)}"
    if not bundle.mixes and (got - expected).abs().max() > TOLERANCE * expected.abs().max():
        return "removing one of its channels changes what the model makes of the others"
    return None


def _silenced(model: nn.Module, bundle: Bundle, channels: set[int]) -> nn.Module:
    """Make the readers of a bundle deaf to some of its channels, in place: what removing these must come to."""
    for reader in bundle.readers:
        layer = model.get_submodule(reader.layer)
        weight = by_input(layer, layer.weight)  # type: ignore[arg-type]
        for index, channel in zip(reader.inputs, reader.channels, strict=True):
            if channel in channels:
                weight[index // weight.shape[2], :, index % weight.shape[2]] = 0
    return model

"""Units that may be removed from a model: channels, heads, residual layers; and those that must stay."""

import copy
import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn

from model_compression.errors import cause_of
from model_compression.intake import kept_as_they_are
from model_compression.pruning.channel_groups import ChannelGroup
from model_compression.pruning.dependencies import Dependencies
from model_compression.pruning.importance import by_input
from model_compression.pruning.indexed_channels import IndexedChannels
from model_compression.pruning.structure import (
    Attention,
    Residual,
    attentions,
    observe,
    remove_residual,
    residuals,
)
from model_compression.settings import Kind

KINDS: tuple[Kind, ...] = ("channels", "heads", "layers")
TOLERANCE = 1e-3  # of the largest output: float kernels differ in summation order
Trial = Callable[[nn.Module, tuple[Tensor, ...]], tuple[nn.Module, nn.Module | None]]
"""A function that removes one unit from a copy; returns the rest and, where one is known, the reference for it."""


@dataclass(frozen=True)
class Protected:
    """A unit that stays, by the name of its layer, and the reason."""

    layer: str
    reason: str


@dataclass(frozen=True)
class PrunableUnits:
    """The units of one model in its present state; they are not those of its copies."""

    channel_groups: tuple[ChannelGroup, ...]
    attentions: tuple[Attention, ...]
    layers: tuple[Residual, ...]

    def count(self, kind: Kind) -> int:
        """Count the units of a kind."""
        match kind:
            case "channels":
                return sum(group.width for group in self.channel_groups)
            case "heads":
                return sum(len(attention.heads) for attention in self.attentions)
            case "layers":
                return len(self.layers)


def units_of(
    model: nn.Module, example: tuple[Tensor, ...], kinds: Sequence[Kind], protected: Sequence[Protected] = ()
) -> PrunableUnits:
    """Find the units of some kinds that are not protected.

    Heads and layers are found in rebuilt programs only.
    """
    kept = {protection.layer for protection in protected}
    return _units(model, _structure(model, example), example, kinds, kept)


def _units(
    model: nn.Module, found: "_Structure", example: tuple[Tensor, ...], kinds: Sequence[Kind], kept: Collection[str]
) -> PrunableUnits:
    channels: Iterator[ChannelGroup] = iter(())
    if "channels" in kinds:
        names = {name for name, _ in model.named_modules()}
        engine = found.channels or Dependencies(model, example)
        channels = engine.channel_groups(kept=({*kept} | found.made_of_heads) & names)
    heads, layers = found.attentions, found.layers
    return PrunableUnits(
        tuple(channels),
        tuple(each for each in heads if "heads" in kinds and each.name not in kept and len(each.heads) > 1),
        tuple(each for each in layers if "layers" in kinds and each.name not in kept),
    )


@dataclass(frozen=True)
class _Structure:
    """What one walk found in a rebuilt program; empty for a module of code."""

    channels: IndexedChannels | None = None
    attentions: tuple[Attention, ...] = ()
    layers: tuple[Residual, ...] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)

    @property
    def made_of_heads(self) -> set[str]:
        """The layers whose outputs are heads: their channels go with the heads alone."""
        return {maker for attention in self.attentions for maker in attention.makers}


def _structure(model: nn.Module, example: tuple[Tensor, ...]) -> _Structure:
    if not isinstance(model, fx.GraphModule):
        return _Structure()
    values = observe(model, example)
    channels = IndexedChannels(model, example, values)
    found, unknown = attentions(model, channels.flow)
    return _Structure(channels, tuple(found), tuple(residuals(model, values)), unknown)


def protected_units(model: nn.Module, example: tuple[Tensor, ...], kinds: Sequence[Kind] = KINDS) -> list[Protected]:
    """Find the units that must stay: they are the model's output, or the model does not run without them.

    Each is tried on a copy, so that no annotation is needed.
    """
    structure = _structure(model, example)
    units = _units(model, structure, example, kinds, ())
    reasons: list[tuple[str, str | None]] = []
    reasons += _channel_reasons(model, example, structure, units.channel_groups) if "channels" in kinds else []
    reasons += [(each.name, _head_reason(model, example, structure, each)) for each in units.attentions]
    reasons += [(each.name, _trial(model, example, _without_layer(each))) for each in units.layers]
    found = [Protected(name, reason) for name, reason in reasons if reason]
    if "heads" in kinds:
        found += [Protected(name, f"its heads stay: {reason}") for name, reason in structure.unknown.items()]
    found += [Protected(kept.name, str(kept)) for kept in kept_as_they_are(model)]
    if not isinstance(model, fx.GraphModule) and {"heads", "layers"} & set(kinds):
        found.append(Protected("the model", "heads and layers are found in a rebuilt program, not in build_model()'s"))
    return found


@torch.no_grad()
def _trial(model: nn.Module, example: tuple[Tensor, ...], trial: "str | Trial") -> str | None:
    """Return why a unit must stay, or None where the model runs without it."""
    if isinstance(trial, str):
        return trial
    try:
        smaller, silenced = trial(copy.deepcopy(model).eval(), example)
        got = smaller(*example)
    except Exception as error:  # any error of the model or of the graph is the reason
        return f"the model does not run without a unit of it: {cause_of(error)}"
    expected = (model if silenced is None else silenced).eval()(*example)
    if got.shape != expected.shape:
        return f"its units are the model's outputs: {_sizes(expected)} of them would become {_sizes(got)}"
    if silenced is not None and (got - expected).abs().max() > TOLERANCE * expected.abs().max():
        return "removing a unit of it changes what the model makes of the others"
    return None


def _sizes(outputs: Tensor) -> str:
    """Write the sizes of the outputs of one row."""
    return " x ".join(str(size) for size in outputs.shape[1:]) or "1"


def _channel_reasons(
    model: nn.Module, example: tuple[Tensor, ...], structure: _Structure, groups: Sequence[ChannelGroup]
) -> list[tuple[str, str | None]]:
    channels = structure.channels
    if channels is None:
        return [(each.layer, _trial(model, example, _without_channels(each))) for each in groups]
    made_of_heads = structure.made_of_heads
    reasons: list[tuple[str, str | None]] = [
        (layer, reason) for layer, reason in channels.staying().items() if layer not in made_of_heads
    ]
    for group in groups:
        sets = (set(group.leaving(gone, 0)) for gone in _random_sets(group.layer, group.width))
        trials = (_trial(model, example, _without_units(channels, group, gone)) for gone in sets if gone)
        alone = "its channels can only go all together" if group.width < 2 else None
        reasons.append((group.layer, alone or next((reason for reason in trials if reason), None)))
    return reasons


def _head_reason(
    model: nn.Module, example: tuple[Tensor, ...], structure: _Structure, attention: Attention
) -> str | None:
    sets = _random_sets(attention.name, len(attention.heads))
    trials = (_trial(model, example, _without_heads(structure, attention, gone)) for gone in sets)
    return next((reason for reason in trials if reason), None)


def _random_sets(name: str, width: int) -> Iterator[list[int]]:
    """Yield sets of units to try: one, an odd number of them, and half of them; the same for the same name."""
    draw = random.Random(name)
    for count in sorted({1, (width // 3) | 1, width // 2}):
        if 0 < count < width:
            yield draw.sample(range(width), count)


def _without_units(channels: IndexedChannels, group: ChannelGroup, gone: set[int]) -> Trial:
    def trial(model: nn.Module, _: tuple[Tensor, ...]) -> tuple[nn.Module, nn.Module | None]:
        reference = None if group.mixes else silenced(copy.deepcopy(model), group, gone)
        lost = [next(iter(group.units[number].items())) for number in sorted(gone)]
        layers = {layer: [place for name, places in lost if name == layer for place in places] for layer, _ in lost}
        channels.remove_from(model, layers)  # type: ignore[arg-type]
        return model, reference

    return trial


def _without_channels(group: ChannelGroup) -> "str | Trial":
    if group.width <= group.blocks:
        return f"it has only {group.width} channels in {group.blocks} groups"
    first_of_each_block = set(range(0, group.width, group.width // group.blocks))

    def trial(model: nn.Module, example: tuple[Tensor, ...]) -> tuple[nn.Module, nn.Module | None]:
        reference = None if group.mixes else silenced(copy.deepcopy(model), group, first_of_each_block)
        with torch.enable_grad():
            Dependencies(model, example).remove(group.layer, sorted(first_of_each_block))
        return model, reference

    return trial


def _without_heads(structure: _Structure, attention: Attention, gone: Sequence[int]) -> Trial:
    def trial(model: nn.Module, _: tuple[Tensor, ...]) -> tuple[nn.Module, nn.Module | None]:
        reference = copy.deepcopy(model)
        weight: Any = reference.get_submodule(attention.name).weight
        weight[:, [column for number in gone for column in attention.heads[number].columns]] = 0
        structure.channels.remove_heads_from(model, attention, gone)  # type: ignore[union-attr, arg-type]
        return model, reference

    return trial


def _without_layer(layer: Residual) -> Trial:
    def trial(model: nn.Module, example: tuple[Tensor, ...]) -> tuple[nn.Module, nn.Module | None]:
        remove_layer(model, example, layer.name)
        return model, None

    return trial


def remove_layer(model: nn.Module, example: tuple[Tensor, ...], name: str) -> None:
    """Remove a residual layer by its name, in place.

    Raises ValueError for an unknown layer, PruningError where something else reads what the layer computes.
    """
    found = residuals(model, observe(model, example)) if isinstance(model, fx.GraphModule) else []
    layers = {layer.name: layer for layer in found}
    if name not in layers:
        raise ValueError(f"expected a residual layer of {', '.join(layers) or 'none'}, got {name}")
    remove_residual(model, layers[name])  # type: ignore[arg-type]


def silenced(model: nn.Module, group: ChannelGroup, channels: set[int]) -> nn.Module:
    """Zero the weights that read these channels, in place; returns the model.

    It is the reference that real removal must match.
    """
    for reader in group.readers:
        layer = model.get_submodule(reader.layer)
        weight = by_input(layer, layer.weight)  # type: ignore[arg-type]
        for index, channel in zip(reader.inputs, reader.channels, strict=True):
            if channel in channels:
                weight[index // weight.shape[2], :, index % weight.shape[2]] = 0
    return model

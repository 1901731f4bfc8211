"""Units that may be removed from a model: channels, heads, residual layers; and those that must stay."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, fx, nn

from model_compression.errors import PruningError
from model_compression.intake import kept_as_they_are
from model_compression.pruning.channel_groups import ChannelGroup
from model_compression.pruning.dependencies import Dependencies
from model_compression.pruning.indexed_channels import IndexedChannels
from model_compression.pruning.structure import (
    Attention,
    Residual,
    attentions,
    observe,
    remove_residuals,
    residuals,
)
from model_compression.pruning.trials import Removal, Tried, failing, holds, random_sets, silenced, silenced_heads
from model_compression.settings import Kind

KINDS: tuple[Kind, ...] = ("channels", "heads", "layers")
MODEL = "the model"
SETS = 3  # random sets of units of each group


@dataclass(frozen=True)
class Protected:
    """A unit that stays, by the name of its layer, and the reason; of every kind, where it names none."""

    layer: str
    reason: str
    kind: Kind | None = None


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
    return _units(model, _structure(model, example), example, kinds, protected)


def _units(
    model: nn.Module,
    found: "_Structure",
    example: tuple[Tensor, ...],
    kinds: Sequence[Kind],
    protected: Sequence[Protected],
) -> PrunableUnits:
    kept = {kind: {each.layer for each in protected if each.kind in (None, kind)} for kind in KINDS}
    channels: Iterator[ChannelGroup] = iter(())
    if "channels" in kinds:
        names = {name for name, _ in model.named_modules()}
        staying = (kept["channels"] | found.made_of_heads) & names
        if found.channels is not None:
            channels = found.channels.channel_groups(staying)
        elif MODEL not in kept["channels"]:
            channels = Dependencies(model, example).channel_groups(staying)
    heads, layers = found.attentions, found.layers
    return PrunableUnits(
        tuple(channels),
        tuple(each for each in heads if "heads" in kinds and each.name not in kept["heads"] and len(each.heads) > 1),
        tuple(each for each in layers if "layers" in kinds and each.name not in kept["layers"]),
    )


@dataclass(frozen=True)
class _Structure:
    """Units that one walk found in a rebuilt program; empty for a module of code."""

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
    """Find the units that must stay: they are the model's output, or the model does not answer right without them.

    Each is tried on copies, so that no annotation is needed.
    """
    structure = _structure(model, example)
    found: list[Protected] = _unreachable(model, example) if "channels" in kinds else []
    if "channels" in kinds and structure.channels is not None:
        made_of_heads, staying = structure.made_of_heads, structure.channels.staying()
        found += _protected({layer: why for layer, why in staying.items() if layer not in made_of_heads}, "channels")
    if "heads" in kinds:
        unknown = {name: f"its heads stay: {reason}" for name, reason in structure.unknown.items()}
        found += _protected(unknown, "heads")
    found += _failing_units(model, structure, example, kinds, found)
    found += [Protected(kept.name, str(kept)) for kept in kept_as_they_are(model)]
    if not isinstance(model, fx.GraphModule) and {"heads", "layers"} & set(kinds):
        found.append(
            Protected(MODEL, "heads and layers are found in a rebuilt program, not in build_model()'s", "heads")
        )
    return found


def _unreachable(model: nn.Module, example: tuple[Tensor, ...]) -> list[Protected]:
    """Protect all channels of a module of code that cannot be followed from layer to layer."""
    if not isinstance(model, fx.GraphModule):
        try:
            list(Dependencies(model, example).channel_groups())
        except PruningError as error:
            return [Protected(MODEL, str(error), "channels")]
    return []


def failing_units(
    model: nn.Module, example: tuple[Tensor, ...], kinds: Sequence[Kind], protected: Sequence[Protected]
) -> list[Protected]:
    """Try the units that are not protected, as protected_units() does; returns those that must stay after all.

    It is for a model that lost units since its own were found.
    """
    return _failing_units(model, _structure(model, example), example, kinds, protected)


def _failing_units(
    model: nn.Module,
    structure: _Structure,
    example: tuple[Tensor, ...],
    kinds: Sequence[Kind],
    protected: Sequence[Protected],
) -> list[Protected]:
    units = _units(model, structure, example, kinds, protected)
    channels = _channel_reasons(model, example, structure, units.channel_groups)
    found = _protected(channels, "channels")
    found += _protected(_head_reasons(model, example, structure, units.attentions), "heads")
    found += _protected(_layer_reasons(model, example, units.layers), "layers")
    return found


def _protected(reasons: Mapping[str, str], kind: Kind) -> list[Protected]:
    return [Protected(name, reason, kind) for name, reason in reasons.items()]


def _channel_reasons(
    model: nn.Module, example: tuple[Tensor, ...], structure: _Structure, groups: Sequence[ChannelGroup]
) -> dict[str, str]:
    channels = structure.channels
    if channels is None:
        return _reasons_in_code(model, example, groups)
    reasons = {each.layer: "its channels can only go all together" for each in groups if each.width < 2}
    sets = {each.layer: list(random_sets(each.layer, each.width)) for each in groups}
    for number in range(SETS):
        tried = [each for each in groups if each.layer not in reasons and sets[each.layer]]
        gone = {each.layer: set(each.leaving(sets[each.layer][number % len(sets[each.layer])], 0)) for each in tried}
        trials = [_without_units(channels, each, gone[each.layer]) for each in tried if gone[each.layer]]
        reasons |= failing(model, example, trials, channels.remove_classes_from)  # type: ignore[arg-type]
    return reasons


def _reasons_in_code(model: nn.Module, example: tuple[Tensor, ...], groups: Sequence[ChannelGroup]) -> dict[str, str]:
    few = {each.layer: f"it has only {each.width} channels in {each.blocks} groups"
           for each in groups if each.width <= each.blocks}  # fmt: skip
    for group in groups:
        if group.layer not in few:
            few |= failing(model, example, [_first_of_each_block(group)], _without_channels(group, example))
    return few


def _head_reasons(
    model: nn.Module, example: tuple[Tensor, ...], structure: _Structure, found: Sequence[Attention]
) -> dict[str, str]:
    reasons: dict[str, str] = {}
    sets = {each.name: list(random_sets(each.name, len(each.heads))) for each in found}
    for number in range(SETS):
        trials = [
            _without_heads(each, sets[each.name][number % len(sets[each.name])])
            for each in found
            if each.name not in reasons and sets[each.name]
        ]
        if structure.channels is not None:
            reasons |= failing(model, example, trials, structure.channels.remove_classes_from)  # type: ignore[arg-type]
    return reasons


def _layer_reasons(model: nn.Module, example: tuple[Tensor, ...], layers: Sequence[Residual]) -> dict[str, str]:
    """Try all layers at once; try each alone where that fails, and those from whose inside others read."""
    remove = _without_layers(layers)
    tried = {layer.name: Tried(layer.name, frozenset({layer.name}), None) for layer in layers}
    together = [tried[layer.name] for layer in layers if not layer.is_read_elsewhere]
    if holds(model, example, together, remove):
        tried = {layer.name: tried[layer.name] for layer in layers if layer.is_read_elsewhere}
    reasons: dict[str, str] = {}
    for alone in tried.values():
        reasons |= failing(model, example, [alone], remove)
    return reasons


def _without_units(channels: IndexedChannels, group: ChannelGroup, gone: set[int]) -> Tried:
    classes = channels.classes_of(group.units[number] for number in gone)
    return Tried(group.layer, frozenset(classes), None if group.mixes else lambda model: silenced(model, group, gone))


def _without_heads(attention: Attention, gone: Sequence[int]) -> Tried:
    classes = frozenset(attention.classes[number] for number in gone)
    return Tried(attention.name, classes, lambda model: silenced_heads(model, attention, gone))


def _first_of_each_block(group: ChannelGroup) -> Tried:
    gone = set(range(0, group.width, group.width // group.blocks))
    return Tried(group.layer, frozenset(gone), None if group.mixes else lambda model: silenced(model, group, gone))


def _without_channels(group: ChannelGroup, example: tuple[Tensor, ...]) -> Removal:
    def remove(model: nn.Module, gone: set[int]) -> None:
        with torch.enable_grad():
            Dependencies(model, example).remove(group.layer, sorted(gone))

    return remove


def _without_layers(layers: Sequence[Residual]) -> Removal:
    def remove(model: fx.GraphModule, names: set[str]) -> None:
        nodes = {node.name: node for node in model.graph.nodes}
        gone = [
            replace(
                layer, start=nodes[layer.start.name], end=nodes[layer.end.name],
                nodes=frozenset(nodes[node.name] for node in layer.nodes),
            )
            for layer in layers
            if layer.name in names
        ]  # fmt: skip
        remove_residuals(model, gone)

    return remove  # type: ignore[return-value]


def remove_layer(model: nn.Module, example: tuple[Tensor, ...], name: str) -> None:
    """Remove a residual layer by its name, in place.

    Raises ValueError for an unknown layer, PruningError where something else reads what the layer computes.
    """
    found = residuals(model, observe(model, example)) if isinstance(model, fx.GraphModule) else []
    layers = {layer.name: layer for layer in found}
    if name not in layers:
        raise ValueError(f"expected a residual layer of {', '.join(layers) or 'none'}, got {name}")
    remove_residuals(model, [layers[name]])  # type: ignore[arg-type]

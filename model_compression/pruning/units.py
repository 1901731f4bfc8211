"""Units that may be removed from a model: channels, heads, residual layers; and those that must stay."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor, fx, nn

from model_compression.errors import PruningError
from model_compression.intake import kept_as_they_are
from model_compression.pruning.channel_groups import ChannelGroup
from model_compression.pruning.indexed_channels import IndexedChannels
from model_compression.pruning.own_modules import program_of
from model_compression.pruning.structure import (
    Attention,
    Residual,
    attentions,
    observe,
    remove_residuals,
    residuals,
)
from model_compression.pruning.trials import (
    Removal,
    Tried,
    failing,
    failing_in_code,
    random_sets,
    silenced,
    silenced_heads,
)
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

    Raises PruningError for a module of code without a program of its own that answers like it, unless all of it is
    protected.
    """
    if any(each.layer == MODEL for each in protected):
        return PrunableUnits((), (), ())
    return _units(_structure(program_of(model, example), example), kinds, protected)


def _units(found: "_Structure", kinds: Sequence[Kind], protected: Sequence[Protected]) -> PrunableUnits:
    kept = {kind: {each.layer for each in protected if each.kind in (None, kind)} for kind in KINDS}
    channels: Iterator[ChannelGroup] = iter(())
    if "channels" in kinds:
        channels = found.channels.channel_groups(kept["channels"] | found.made_of_heads)
    heads, layers = found.attentions, found.layers
    return PrunableUnits(
        tuple(channels),
        tuple(each for each in heads if "heads" in kinds and each.name not in kept["heads"] and len(each.heads) > 1),
        tuple(each for each in layers if "layers" in kinds and each.name not in kept["layers"]),
    )


@dataclass(frozen=True)
class _Structure:
    """Units that one walk found in a rebuilt program, and the attentions whose heads cannot be told apart."""

    channels: IndexedChannels
    attentions: tuple[Attention, ...]
    layers: tuple[Residual, ...]
    unknown: Mapping[str, str]

    @property
    def made_of_heads(self) -> set[str]:
        """The layers whose outputs are heads: their channels go with the heads alone."""
        return {maker for attention in self.attentions for maker in attention.makers}


def _structure(model: fx.GraphModule, example: tuple[Tensor, ...]) -> _Structure:
    values = observe(model, example)
    channels = IndexedChannels(model, example, values)
    found, unknown = attentions(model, channels.flow)
    return _Structure(channels, tuple(found), tuple(residuals(model, values)), unknown)


def protected_units(model: nn.Module, example: tuple[Tensor, ...], kinds: Sequence[Kind] = KINDS) -> list[Protected]:
    """Find the units that must stay: they are the model's output, or the model does not answer right without them.

    Each is tried on copies, so that no annotation is needed. In a module of code, all stay where it has no program of
    its own that answers like it, and those that its code does not let go.
    """
    try:
        program = program_of(model, example)
    except PruningError as error:
        return [Protected(MODEL, str(error))]
    structure = _structure(program, example)
    found: list[Protected] = []
    if "channels" in kinds:
        made_of_heads, staying = structure.made_of_heads, structure.channels.staying()
        found += _protected({layer: why for layer, why in staying.items() if layer not in made_of_heads}, "channels")
    if "heads" in kinds:
        unknown = {name: f"its heads stay: {reason}" for name, reason in structure.unknown.items()}
        found += _protected(unknown, "heads")
    found += _failing_units(model, program, structure, example, kinds, found)
    return found + [Protected(kept.name, str(kept)) for kept in kept_as_they_are(program)]


def failing_units(
    model: nn.Module, example: tuple[Tensor, ...], kinds: Sequence[Kind], protected: Sequence[Protected]
) -> list[Protected]:
    """Try the units that are not protected, as protected_units() does; returns those that must stay after all.

    It is for a model that lost units since its own were found.
    """
    if any(each.layer == MODEL for each in protected):
        return []
    program = program_of(model, example)
    return _failing_units(model, program, _structure(program, example), example, kinds, protected)


_Judge = Callable[[Sequence[Tried], Removal], dict[str, str]]
"""A function that returns why units must stay, of those that are tried by a removal."""


def _failing_units(
    model: nn.Module,
    program: fx.GraphModule,
    structure: _Structure,
    example: tuple[Tensor, ...],
    kinds: Sequence[Kind],
    protected: Sequence[Protected],
) -> list[Protected]:
    def trials_by(judge: _Judge) -> list[Protected]:
        units = _units(structure, kinds, [*protected, *found])
        failed = _protected(_channel_reasons(structure, units.channel_groups, judge), "channels")
        failed += _protected(_head_reasons(structure, units.attentions, judge), "heads")
        return failed + _protected(_layer_reasons(units.layers, judge), "layers")

    found: list[Protected] = []
    found += trials_by(lambda trials, remove: failing(program, example, trials, remove))
    if model is not program:
        found += trials_by(lambda trials, remove: failing_in_code(model, example, trials, remove))
    return found


def _protected(reasons: Mapping[str, str], kind: Kind) -> list[Protected]:
    return [Protected(name, reason, kind) for name, reason in reasons.items()]


def _channel_reasons(structure: _Structure, groups: Sequence[ChannelGroup], judge: _Judge) -> dict[str, str]:
    channels = structure.channels
    reasons = {each.layer: "its channels can only go all together" for each in groups if each.width < 2}
    sets = {each.layer: list(random_sets(each.layer, each.width)) for each in groups}
    for number in range(SETS):
        tried = [each for each in groups if each.layer not in reasons and sets[each.layer]]
        gone = {each.layer: set(each.leaving(sets[each.layer][number % len(sets[each.layer])], 0)) for each in tried}
        trials = [_without_units(channels, each, gone[each.layer]) for each in tried if gone[each.layer]]
        reasons |= judge(trials, channels.remove_classes_from)
    return reasons


def _head_reasons(structure: _Structure, found: Sequence[Attention], judge: _Judge) -> dict[str, str]:
    reasons: dict[str, str] = {}
    sets = {each.name: list(random_sets(each.name, len(each.heads))) for each in found}
    for number in range(SETS):
        trials = [
            _without_heads(each, sets[each.name][number % len(sets[each.name])])
            for each in found
            if each.name not in reasons and sets[each.name]
        ]
        reasons |= judge(trials, structure.channels.remove_classes_from)
    return reasons


def _layer_reasons(layers: Sequence[Residual], judge: _Judge) -> dict[str, str]:
    """Try all layers at once; try each alone where that fails, and those from whose inside others read."""
    remove = _without_layers(layers)
    together = frozenset(layer.name for layer in layers if not layer.is_read_elsewhere)
    all_may_go = bool(together) and not judge([Tried("all layers", together, None)], remove)
    reasons: dict[str, str] = {}
    for layer in layers:
        if not (all_may_go and layer.name in together):
            reasons |= judge([Tried(layer.name, frozenset({layer.name}), None)], remove)
    return reasons


def _without_units(channels: IndexedChannels, group: ChannelGroup, gone: set[int]) -> Tried:
    classes = channels.classes_of(group.units[number] for number in gone)
    return Tried(group.layer, frozenset(classes), None if group.mixes else lambda model: silenced(model, group, gone))


def _without_heads(attention: Attention, gone: Sequence[int]) -> Tried:
    classes = frozenset(attention.classes[number] for number in gone)
    return Tried(attention.name, classes, lambda model: silenced_heads(model, attention, gone))


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

    return remove


def remove_layer(model: fx.GraphModule, example: tuple[Tensor, ...], name: str) -> None:
    """Remove a residual layer by its name, in place.

    Raises ValueError for an unknown layer, PruningError where something else reads what the layer computes.
    """
    layers = {layer.name: layer for layer in residuals(model, observe(model, example))}
    if name not in layers:
        raise ValueError(f"expected a residual layer of {', '.join(layers) or 'none'}, got {name}")
    remove_residuals(model, [layers[name]])

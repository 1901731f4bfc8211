"""Structured pruning of channels, attention heads and residual layers: the module really gets smaller."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from model_compression.errors import PruningError
from model_compression.pruning.costs import NOTHING, Costs
from model_compression.pruning.dependencies import Dependencies
from model_compression.pruning.importance import Scores
from model_compression.pruning.selection import Candidates, choose
from model_compression.pruning.structure import remove_heads
from model_compression.pruning.units import Units, remove_layer
from model_compression.pruning.vocabulary import replay_trim

Round = dict[str, Any]
"""What one round removed, by names and by indices before the round; only what it did remove is there.

`layers`: names; `heads`: attention -> heads; `channels`: layer -> output channels; `vocabulary`: a trimmed table.
"""
History = list[Round]
"""Everything that was removed, round by round."""


def remove_units(
    model: nn.Module,
    example: tuple[Tensor, ...],
    units: Units,
    scores: Scores,
    ratio: float,
    *,
    round_to: int,
    costs: Costs = NOTHING,
    at_most: Mapping[str, float] | None = None,
) -> History:
    """Remove what costs the loss least for what it frees, in place; returns what was removed, as one round.

    `ratio` is of all that the units take of the resource that `costs` weighs by. Channels that depend on each other
    (residual adds, depthwise convolutions) count once and go together; widths that shrink become multiples of
    `round_to`. `at_most` bounds the number of units of a kind; where it says nothing of layers, half of them
    stay. Raises PruningError when nothing is left to remove.
    """
    named = list(_candidates(units, scores, round_to, costs))
    bounds = dict(at_most or {})
    bounds.setdefault("layers", len(units.layers) // 2)
    chosen = choose([candidates for _, candidates in named], ratio, bounds, normalise=scores.criterion != "taylor")
    kinds = {name: (candidates.kind, gone) for (name, candidates), gone in zip(named, chosen, strict=True) if gone}
    removed = _round(units, kinds)
    if not removed:
        raise PruningError(
            f"expected units to remove at ratio {ratio} with widths in multiples of {round_to}, found none: "
            "all are protected or as few as may be; stop pruning here or lower `round_to`"
        )
    return [replay_round(model, example, removed)]


def replay(model: nn.Module, example: tuple[Tensor, ...], history: History) -> nn.Module:
    """Remove the same again from a fresh copy of the same architecture, in place; returns the model.

    Raises AttributeError or ValueError where the history is another architecture's.
    """
    for removed in history:
        replay_round(model, example, removed)
    return model


def replay_round(model: nn.Module, example: tuple[Tensor, ...], removed: Round) -> Round:
    """Remove what one round removed, in place; returns it."""
    if "vocabulary" in removed:
        replay_trim(model, removed["vocabulary"])
    for name in removed.get("layers", ()):
        remove_layer(model, example, name)
    for name, heads in removed.get("heads", {}).items():
        remove_heads(model, example, name, heads)  # type: ignore[arg-type]
    if channels := removed.get("channels"):
        dependencies = Dependencies(model, example)
        for layer, gone in channels.items():
            dependencies.remove(layer, gone)
    return removed


def removed_units(history: History) -> dict[str, int]:
    """Count what a history removed, kind by kind; channels of a removed layer are not among the channels."""
    by_layer = {kind: [gone for removed in history for gone in removed.get(kind, {}).values()]
                for kind in ("channels", "heads")}  # fmt: skip
    layers = sum(len(removed.get("layers", ())) for removed in history)
    return {"layers": layers, **{kind: sum(map(len, lists)) for kind, lists in by_layer.items()}}


def _round(units: Units, chosen: Mapping[str, tuple[str, list[int]]]) -> Round:
    """Write down what was chosen; a bundle goes by the name of a layer that is still there without the layers."""
    layers = [name for name, (kind, _) in chosen.items() if kind == "layers"]
    lost = {module for layer in units.layers if layer.name in layers for module in layer.modules}
    makers = {bundle.layer: [name for name in bundle.makers if name not in lost] for bundle in units.bundles}
    removed: Round = {"layers": layers} if layers else {}
    for name, (kind, gone) in chosen.items():
        if kind == "heads":
            removed.setdefault("heads", {})[name] = gone
        elif kind == "channels" and makers[name]:
            removed.setdefault("channels", {})[makers[name][0]] = gone
    return removed


def _candidates(units: Units, scores: Scores, round_to: int, costs: Costs) -> Iterator[tuple[str, Candidates]]:
    groups: list[tuple[str, Candidates, Collection[str]]] = []
    for bundle in units.bundles:
        found = scores.channels(bundle)
        if found is not None:
            group = Candidates("channels", found, bundle.blocks, costs.of_channel(bundle), round_to)
            groups.append((bundle.layer, group, [part.layer for part in bundle.parts if part.of_outputs]))
    for attention in units.attentions:
        group = Candidates("heads", scores.heads(attention), cost=costs.of_head(attention))
        groups.append((attention.name, group, attention.makers))
    yield from ((name, group) for name, group, _ in groups)
    for layer in units.layers:
        own = set(layer.modules)
        inside = [index for index, (_, _, layers) in enumerate(groups) if set(layers) <= own]
        yield (
            layer.name,
            Candidates("layers", scores.layer(layer.name), cost=costs.of_layer(layer, [groups[i][1] for i in inside]),
                       whole=True, covers=frozenset(inside)),
        )  # fmt: skip

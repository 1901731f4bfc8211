"""Rounds of structured pruning: choose units by score and cost, remove them, record it, replay it.

Channels, attention heads and residual layers are really removed, so the module gets smaller.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, fx, nn

from model_compression.errors import PruningError
from model_compression.pruning.channel_groups import ChannelGroup
from model_compression.pruning.costs import NOTHING, Costs, Removed
from model_compression.pruning.importance import Scores
from model_compression.pruning.indexed_channels import IndexedChannels
from model_compression.pruning.nearest_share import Chosen, nearest
from model_compression.pruning.own_modules import change
from model_compression.pruning.structure import remove_heads
from model_compression.pruning.units import PrunableUnits, remove_layer
from model_compression.pruning.vocabulary import replay_trim

SMALLEST_SHARE = 0.5  # of a group's units, which one round must leave
Round = dict[str, Any]
"""The units that one round removed, by name and by index before the round; kinds that lost nothing are absent.

`layers`: names; `heads`: attention -> heads; `channels`: layer -> output channels; `vocabulary`: a trimmed table.
"""
History = list[Round]
"""The removed units, round by round."""


@dataclass(frozen=True)
class Candidates:
    """The units of one group: a channel group's channels, an attention's heads, or one residual layer.

    Each unit has a score and frees `cost`. The number of units that stay is a multiple of `step`. A `whole` group can
    only go as a whole, and with it go the groups whose indices it `covers`.
    """

    kind: str
    scores: Tensor
    cost: float = 1.0
    step: int = 1
    whole: bool = False
    covers: frozenset[int] = field(default_factory=frozenset)

    @property
    def total_cost(self) -> float:
        """The cost of all units together."""
        return self.cost * len(self.scores)


@dataclass(frozen=True)
class _Cut:
    """The next units that a group would lose, their mean score per cost, and their cost together."""

    group: int
    units: int
    density: float
    cost: float


def choose(
    groups: Sequence[Candidates],
    ratio: float,
    at_most: Mapping[str, float] | None = None,
    *,
    normalise: bool = False,
    held: Mapping[int, int] | None = None,
) -> list[list[int]]:
    """Choose the units that cost the loss least for what they free, until `ratio` of the total cost is freed.

    Returns the indices that each group loses. A group that loses any keeps a multiple of its step and at least half of
    its units, unless it goes as a whole. So the freed cost is the nearest to `ratio` that such steps allow, and at
    least one step where one is possible. `at_most` bounds the number of units of a kind, `held` that of a group by its
    number. Scores estimate a change of the loss and are compared as they are. With `normalise`, scores are no such
    estimate and are compared in multiples of their kind's mean.
    """
    scale = _kind_means(groups) if normalise else {}
    cuts = [cut for index, group in enumerate(groups) for cut in _cuts(index, group, scale.get(group.kind, 1.0))]
    wanted = ratio * sum(group.total_cost for group in groups)
    left, bounds = dict(at_most or {}), held or {}
    removed, covered, freed = [0] * len(groups), set[int](), 0.0
    for cut in sorted(cuts, key=lambda cut: cut.density):
        group = groups[cut.group]
        if cut.group in covered or left.get(group.kind, math.inf) < cut.units:
            continue
        if removed[cut.group] + cut.units > bounds.get(cut.group, math.inf):
            continue
        if freed and freed + cut.cost / 2 > wanted:
            if group.whole:
                continue  # a layer is large: something smaller may still fit
            break
        removed[cut.group] += cut.units
        freed += cut.cost
        covered |= group.covers
        if group.kind in left:
            left[group.kind] -= cut.units
    return [
        [] if index in covered else _least(group, count)
        for index, (group, count) in enumerate(zip(groups, removed, strict=True))
    ]


def _cuts(index: int, group: Candidates, scale: float) -> Iterator[_Cut]:
    width, step = len(group.scores), group.step
    scores = group.scores.sort().values
    smallest = 0 if group.whole else math.ceil(width * SMALLEST_SHARE / step) * step
    before = width
    for after in range((width - 1) // step * step, smallest - 1, -step):
        gone = scores[width - before : width - after]
        units = before - after
        yield _Cut(index, units, float(gone.mean()) / scale / (group.cost or math.ulp(1)), group.cost * units)
        before = after


def _kind_means(groups: Sequence[Candidates]) -> dict[str, float]:
    """Return the mean score per cost of each kind."""
    sums: dict[str, list[float]] = {}
    for group in groups:
        total = sums.setdefault(group.kind, [0.0, 0.0])
        total[0] += float(group.scores.sum())
        total[1] += group.total_cost
    return {kind: score / cost for kind, (score, cost) in sums.items() if score and cost}


def _least(group: Candidates, count: int) -> list[int]:
    return sorted(group.scores.argsort(stable=True)[:count].tolist())


def _without_last_step(group: Candidates, numbers: list[int]) -> list[int]:
    """Leave out the last step of what a group would lose, the units of the highest scores; a whole group as a whole."""
    if group.whole:
        return []
    count = (len(numbers) - 1) // group.step * group.step
    least = _least(group, count)
    if set(least) <= set(numbers):
        return least
    return sorted(sorted(numbers, key=group.scores.tolist().__getitem__)[:count])


def remove_units(
    model: nn.Module,
    example: tuple[Tensor, ...],
    units: PrunableUnits,
    scores: Scores,
    ratio: float,
    *,
    round_to: int,
    costs: Costs = NOTHING,
    at_most: Mapping[str, float] | None = None,
) -> History:
    """Remove the units that cost the loss least for what they free, in place; returns them as one round.

    `ratio` is the share to free of all that the model takes of the resource behind `costs`, as near as whole steps
    allow; without costs it is the share of the units. Channels that depend on each other (residual sums, depthwise
    convolutions) count once and go together. Widths that shrink become multiples of `round_to`. `at_most` bounds the
    number of units of a kind; by default at most half of the layers go. Raises PruningError when nothing is left to
    remove.
    """
    named = list(_candidates(units, scores, round_to, costs))
    bounds = dict(at_most or {})
    bounds.setdefault("layers", len(units.layers) // 2)

    numbers_of = {name: number for number, (name, _) in enumerate(named)}

    def chosen_at(share: float, held: Mapping[str, int]) -> Chosen:
        by_number = {numbers_of[name]: count for name, count in held.items()}
        groups = [each for _, each in named]
        picked = choose(groups, share, bounds, normalise=scores.criterion != "taylor", held=by_number)
        return _kept_within_layers(units, named, picked)

    def fewer(chosen: Chosen, name: str) -> Chosen:
        kind, numbers = chosen[name]
        return {**chosen, name: (kind, _without_last_step(named[numbers_of[name]][1], numbers))}

    def freed(chosen: Chosen) -> float:
        return costs.freed(_removed(units, chosen))

    chosen = nearest(ratio, freed, chosen_at, fewer) if costs.taken else chosen_at(ratio, {})
    removed = _round(units, chosen)
    if not removed:
        raise PruningError(
            f"expected units to remove at ratio {ratio} with widths in multiples of {round_to}, found none: "
            "all are protected or as few as may be; stop pruning here or lower `round_to`"
        )
    return [replay_round(model, example, removed)]


def _removed(units: PrunableUnits, chosen: Chosen) -> Removed:
    removed = Removed()
    for group in units.channel_groups:
        removed.channels(group, chosen.get(group.layer, ("", []))[1])
    for attention in units.attentions:
        removed.heads(attention, len(chosen.get(attention.name, ("", []))[1]))
    for layer in units.layers:
        if layer.name in chosen:
            removed.layer(layer)
    return removed


def _kept_within_layers(
    units: PrunableUnits, named: Sequence[tuple[str, Candidates]], picked: Sequence[list[int]]
) -> Chosen:
    """Return what is chosen by the group's name; no layer of a group loses more than its share."""
    groups = {group.layer: group for group in units.channel_groups}
    chosen: Chosen = {}
    for (name, candidates), numbers in zip(named, picked, strict=True):
        gone = numbers
        if candidates.kind == "channels" and name in groups:
            by_score = sorted(numbers, key=candidates.scores.tolist().__getitem__)
            gone = sorted(groups[name].leaving(by_score, SMALLEST_SHARE))
        if gone:
            chosen[name] = (candidates.kind, gone)
    return chosen


def replay(model: nn.Module, example: tuple[Tensor, ...], history: History) -> nn.Module:
    """Remove a whole history from a fresh copy of the same architecture, in place; returns the model.

    Raises AttributeError or ValueError where the history is another architecture's.
    """
    for removed in history:
        replay_round(model, example, removed)
    return model


def replay_round(model: nn.Module, example: tuple[Tensor, ...], removed: Round) -> Round:
    """Remove the units of one round, in place; returns the round."""
    if "vocabulary" in removed:
        replay_trim(model, removed["vocabulary"])
    for name in removed.get("layers", ()):
        change(model, example, lambda program, name=name: remove_layer(program, example, name))  # type: ignore[misc]
    heads, channels = removed.get("heads", {}), removed.get("channels")
    if heads or channels:
        change(model, example, lambda program: _remove_inside_layers(program, example, heads, channels))
    return removed


def _remove_inside_layers(
    program: fx.GraphModule, example: tuple[Tensor, ...], heads: Mapping[str, Any], channels: Any
) -> None:
    for name, gone in heads.items():
        remove_heads(program, example, name, gone)
    if channels:
        IndexedChannels(program, example).remove(channels)


def removed_units(history: History) -> dict[str, int]:
    """Count the removed units of each kind; channels inside a removed layer are not counted."""
    by_layer = {kind: [gone for removed in history for gone in removed.get(kind, {}).values()]
                for kind in ("channels", "heads")}  # fmt: skip
    layers = sum(len(removed.get("layers", ())) for removed in history)
    return {"layers": layers, **{kind: sum(map(len, lists)) for kind, lists in by_layer.items()}}


def _round(units: PrunableUnits, chosen: Mapping[str, tuple[str, list[int]]]) -> Round:
    """Record the chosen units; channels get the name of a layer that is not removed itself."""
    layers = [name for name, (kind, _) in chosen.items() if kind == "layers"]
    lost = {module for layer in units.layers if layer.name in layers for module in layer.modules}
    groups = {group.layer: group for group in units.channel_groups}
    removed: Round = {"layers": layers} if layers else {}
    for name, (kind, gone) in chosen.items():
        if kind == "heads":
            removed.setdefault("heads", {})[name] = gone
        elif kind == "channels":
            for maker, channels in _by_maker(groups[name], gone, lost).items():
                removed.setdefault("channels", {})[maker] = channels
    return removed


def _by_maker(group: ChannelGroup, gone: Sequence[int], lost: Collection[str]) -> dict[str, list[int]]:
    """Return channels that stand for the chosen ones, by the layer that makes them."""
    found: dict[str, list[int]] = {}
    for number in gone:
        unit = {name: channels for name, channels in group.units[number].items() if name not in lost}
        if unit:
            name = next(iter(unit))
            found.setdefault(name, []).extend(unit[name])
    return {name: sorted(channels) for name, channels in found.items()}


def _candidates(units: PrunableUnits, scores: Scores, round_to: int, costs: Costs) -> Iterator[tuple[str, Candidates]]:
    found: list[tuple[str, Candidates, Collection[str]]] = []
    for group in units.channel_groups:
        channels = scores.channels(group)
        if channels is not None:
            step = round_to // math.gcd(round_to, group.unit_size)
            candidates = Candidates("channels", channels, costs.of_channel(group), step)
            found.append((group.layer, candidates, [part.layer for part in group.parts if part.of_outputs]))
    for attention in units.attentions:
        candidates = Candidates("heads", scores.heads(attention), cost=costs.of_head(attention))
        found.append((attention.name, candidates, attention.makers))
    yield from ((name, candidates) for name, candidates, _ in found)
    for layer in units.layers:
        own = set(layer.modules)
        inside = [index for index, (_, _, layers) in enumerate(found) if set(layers) <= own]
        cost = costs.of_layer(layer, sum(found[index][1].total_cost for index in inside))
        yield (
            layer.name,
            Candidates("layers", scores.layer(layer.name), cost=cost, whole=True, covers=frozenset(inside)),
        )

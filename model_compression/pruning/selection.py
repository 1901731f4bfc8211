"""Which units go: what costs the loss least for what it frees, in steps that kernels run fast on."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

SMALLEST_SHARE = 0.5  # of a group's units, that one round leaves standing


@dataclass(frozen=True)
class Candidates:
    """The units of one group: the channels of a bundle, the heads of an attention, or one residual layer.

    A score for each unit and what each frees (`cost`). `blocks` equal parts must lose the same positions. What remains
    is a multiple of `step`. A `whole` group leaves nothing behind; with it go the groups that it `covers`, by index.
    """

    kind: str
    scores: Tensor
    blocks: int = 1
    cost: float = 1.0
    step: int = 1
    whole: bool = False
    covers: frozenset[int] = field(default_factory=frozenset)


@dataclass(frozen=True)
class _Cut:
    """The next units that a group would lose, their mean score for what each frees, and what they free together."""

    group: int
    units: int
    density: float
    cost: float


def choose(
    groups: Sequence[Candidates], ratio: float, at_most: Mapping[str, float] | None = None, *, normalise: bool = False
) -> list[list[int]]:
    """Choose the units that lose least for what they free, until `ratio` of what all of them take is freed.

    Returns the indices that each group loses. What remains of a group that loses any is a multiple of its step and at
    least half of it, but for a whole one; so what is freed is the nearest to `ratio` that such steps allow,
    but not nothing where a step is possible. `at_most` bounds the number of units of a kind. Scores are compared as
    they are, each an estimate of what the loss would change by; with `normalise`, where a score is no such estimate,
    in multiples of its kind's mean.
    """
    scale = _kind_means(groups) if normalise else {}
    cuts = [cut for index, group in enumerate(groups) for cut in _cuts(index, group, scale.get(group.kind, 1.0))]
    target = ratio * sum(group.cost * len(group.scores) for group in groups)
    left = dict(at_most or {})
    removed, covered, freed = [0] * len(groups), set[int](), 0.0
    for cut in sorted(cuts, key=lambda cut: cut.density):
        group = groups[cut.group]
        if cut.group in covered or left.get(group.kind, math.inf) < cut.units:
            continue
        if freed and freed + cut.cost / 2 > target:
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
    width, step = len(group.scores), math.lcm(group.blocks, group.step)
    scores = _by_position(group).sort().values
    smallest = 0 if group.whole else math.ceil(width * SMALLEST_SHARE / step) * step
    before = width
    for after in range((width - 1) // step * step, smallest - 1, -step):
        gone = scores[(width - before) // group.blocks : (width - after) // group.blocks]
        units = before - after
        yield _Cut(index, units, float(gone.mean()) / scale / (group.cost or math.ulp(1)), group.cost * units)
        before = after


def _kind_means(groups: Sequence[Candidates]) -> dict[str, float]:
    """The mean score for what is freed, kind by kind."""
    sums: dict[str, list[float]] = {}
    for group in groups:
        total = sums.setdefault(group.kind, [0.0, 0.0])
        total[0] += float(group.scores.sum())
        total[1] += group.cost * len(group.scores)
    return {kind: score / cost for kind, (score, cost) in sums.items() if score and cost}


def _least(group: Candidates, count: int) -> list[int]:
    positions = _by_position(group).argsort(stable=True)[: count // group.blocks]
    size = len(group.scores) // group.blocks
    return sorted(int(position) + block * size for block in range(group.blocks) for position in positions)


def _by_position(group: Candidates) -> Tensor:
    return group.scores.view(group.blocks, -1).mean(0)

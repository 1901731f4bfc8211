"""Which channels go: the least important ones, in steps that keep layers at widths that kernels run fast on."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

SMALLEST_SHARE = 0.5  # of a bundle's width, that one round leaves standing


@dataclass(frozen=True)
class Candidates:
    """A score for each channel of a bundle, whose `blocks` equal parts must lose the same positions."""

    scores: Tensor
    blocks: int


@dataclass(frozen=True)
class _Cut:
    """The next channels that a bundle would lose, and their mean score."""

    bundle: int
    channels: int
    score: float


def choose(bundles: Sequence[Candidates], ratio: float, round_to: int) -> list[list[int]]:
    """Choose the least important `ratio` of all channels; returns the indices that each bundle loses.

    What remains of a bundle that loses any is a multiple of `round_to` and at least half of it, so the number of
    channels is the nearest to `ratio` that such steps allow, but not none where a step is possible. Scores are
    compared across bundles as they are: each is an estimate of what the loss would change by.
    """
    target = ratio * sum(len(bundle.scores) for bundle in bundles)
    cuts = [cut for index, bundle in enumerate(bundles) for cut in _cuts(index, bundle, round_to)]
    removed = [0] * len(bundles)
    for cut in sorted(cuts, key=lambda cut: cut.score):
        total = sum(removed)
        if total and total + cut.channels / 2 > target:
            break
        removed[cut.bundle] += cut.channels
    return [_least(bundle, count) for bundle, count in zip(bundles, removed, strict=True)]


def _cuts(index: int, bundle: Candidates, round_to: int) -> Iterator[_Cut]:
    width, step = len(bundle.scores), math.lcm(bundle.blocks, round_to)
    scores = _by_position(bundle).sort().values
    smallest = math.ceil(width * SMALLEST_SHARE / step) * step
    before = width
    for after in range((width - 1) // step * step, smallest - 1, -step):
        gone = scores[(width - before) // bundle.blocks : (width - after) // bundle.blocks]
        yield _Cut(index, before - after, float(gone.mean()))
        before = after


def _least(bundle: Candidates, count: int) -> list[int]:
    positions = _by_position(bundle).argsort(stable=True)[: count // bundle.blocks]
    size = len(bundle.scores) // bundle.blocks
    return sorted(int(position) + block * size for block in range(bundle.blocks) for position in positions)


def _by_position(bundle: Candidates) -> Tensor:
    return bundle.scores.view(bundle.blocks, -1).mean(0)

"""Search for the choice of units that really frees the share of a resource that was asked for."""

from collections.abc import Callable, Mapping

Chosen = dict[str, tuple[str, list[int]]]
"""Name of a group -> its kind and the numbers of the units that go."""
HALVINGS = 12
NEAR = 0.03  # of the share that is asked: what comes as near is not searched for further
REFILLS = 6


def nearest(
    ratio: float,
    freed: Callable[[Chosen], float],
    chosen_at: Callable[[float, Mapping[str, int]], Chosen],
    fewer: Callable[[Chosen, str], Chosen],
) -> Chosen:
    """Return the choice that frees the share nearest to `ratio`.

    A weight counts with its outputs and with its inputs when units compete, so that the share of what they take
    together is not what goes: it is searched for by halving. `chosen_at` takes a share and the most units that some
    groups may lose. Where one large step leads from too little to too much, the groups that take it are held where they
    were, and smaller steps of others fill what is missing. Last, what frees too much gives groups their last steps
    back: `fewer` takes a choice and such a group.
    """
    held: dict[str, int] = {}
    found: list[tuple[float, Chosen]] = []
    for _ in range(REFILLS):
        below, above = _around(ratio, freed, chosen_at, held)
        found += [each for each in (below, above) if each[1]]
        if any(abs(share - ratio) <= NEAR * ratio for share, _ in found):
            break
        steps = {name: len(below[1].get(name, ("", []))[1]) for name in above[1]}
        larger = {name: count for name, count in steps.items() if len(above[1][name][1]) > count}
        if not larger or above[0] <= ratio:
            break
        held |= larger
    if all(abs(share - ratio) > NEAR * ratio for share, _ in found):
        found += [_given_back(each, ratio, freed, fewer) for each in found if each[0] > ratio]
    return min(found, key=lambda each: abs(each[0] - ratio), default=(0.0, Chosen()))[1]


def _around(
    ratio: float,
    freed: Callable[[Chosen], float],
    chosen_at: Callable[[float, Mapping[str, int]], Chosen],
    held: Mapping[str, int],
) -> tuple[tuple[float, Chosen], tuple[float, Chosen]]:
    """Return the choices below and above a ratio that halving comes nearest to, each with the share that it frees."""
    low, high = 0.0, 1.0
    below = above = (0.0, Chosen())
    for _ in range(HALVINGS):
        share = (low + high) / 2
        chosen = chosen_at(share, held)
        found = freed(chosen)
        if found > ratio:
            high, above = share, (found, chosen)
        else:
            low, below = share, (found, chosen)
    return below, above


def _given_back(
    best: tuple[float, Chosen], ratio: float, freed: Callable[[Chosen], float], fewer: Callable[[Chosen, str], Chosen]
) -> tuple[float, Chosen]:
    """Give back one step after the other, each time the one that comes nearest to a ratio, while one comes nearer.

    The last step of all is kept.
    """
    while True:
        left = (fewer(best[1], name) for name in best[1])
        tried = [(freed(chosen), chosen) for chosen in left if any(numbers for _, numbers in chosen.values())]
        found = min(tried, key=lambda each: abs(each[0] - ratio), default=best)
        if abs(found[0] - ratio) >= abs(best[0] - ratio):
            return best
        best = (found[0], {name: each for name, each in found[1].items() if each[1]})

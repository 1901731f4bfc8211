"""The Pareto front of what was tried: nothing else is at least as good in everything and better in something."""

from collections.abc import Sequence

from deployments.techniques import OBJECTIVES
from edge_runtime.measurement import RESOURCES
from tasks.selection.attempts import Attempt

HIGHER_IS_BETTER = {"accuracy"}
NOISY = {name for name, resource in RESOURCES.items() if resource.noisy}
DIGITS = 2  # of a noisy figure: a difference in the third is chance


def front(attempts: Sequence[Attempt]) -> list[Attempt]:
    """The attempts that no other dominates by validation accuracy, bytes, latency and memory; unmeasured ones out."""
    places = [(tried, place) for tried in attempts if (place := _place(tried)) is not None]
    return [
        tried
        for tried, place in places
        if not any(other != place and all(o >= p for o, p in zip(other, place, strict=True)) for _, other in places)
    ]


def _place(tried: Attempt) -> tuple[float, ...] | None:
    """Higher is better in all of it."""
    values: list[float] = []
    for name in OBJECTIVES:
        value = tried.figure(name)
        if value is None:
            return None
        value = float(f"{value:.{DIGITS}g}") if name in NOISY else value
        values.append(value if name in HIGHER_IS_BETTER else -value)
    return tuple(values)


def better(value: float | None, than: float | None, objective: str) -> bool:
    """Whether a figure beats another by an objective; one that was measured beats one that was not."""
    if value is None or than is None:
        return value is not None
    return value > than if objective in HIGHER_IS_BETTER else value < than

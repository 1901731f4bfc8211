"""Where things stand in the size/accuracy picture: bytes on a log axis, validation accuracy above it."""

from collections.abc import Sequence
from dataclasses import dataclass

from quality_gates.report.charts.labels import Box, Label, place_labels
from quality_gates.report.charts.scales import Scale, linear_ticks, round_values, spaced
from quality_gates.report.content import SizePoint
from quality_gates.report.quantities import MISSING, finite, percent, size

WIDTH, HEIGHT = 640.0, 400.0
LEFT, RIGHT, TOP, BOTTOM = 84.0, 18.0, 30.0, 62.0
X_GAP, Y_GAP = 92.0, 34.0
# A budget further off than this many times the sizes seen would squeeze the points into a corner.
BUDGET_REACH = 10.0


@dataclass(frozen=True)
class AxisTick:
    """A labelled place on one axis."""

    at: float
    label: str


@dataclass(frozen=True)
class Mark:
    """One model in the picture, with its label where one fits."""

    x: float
    y: float
    point: SizePoint
    title: str
    label: Label | None


@dataclass(frozen=True)
class FrontierPicture:
    """Coordinates of the size/accuracy picture; `trajectory` runs from the parent along the snapshots."""

    marks: tuple[Mark, ...]
    trajectory: tuple[tuple[float, float], ...]
    x_ticks: tuple[AxisTick, ...]
    y_ticks: tuple[AxisTick, ...]
    budget_x: float | None


def frontier_picture(points: Sequence[SizePoint], budget: float | None) -> FrontierPicture | None:
    """Lays out every point with a size and an accuracy; None where there is none."""
    known = [point for point in points if _is_known(point)]
    if not known:
        return None
    x, shows_budget = _size_scale([point.size_bytes or 0.0 for point in known], finite(budget))
    y = _accuracy_scale([point.accuracy or 0.0 for point in known])
    places = [(x(point.size_bytes or 0.0), y(point.accuracy or 0.0)) for point in known]
    budget_x = x(budget) if budget is not None and shows_budget else None
    labels = _labels(known, places, budget_x)
    return FrontierPicture(
        marks=tuple(
            Mark(*place, point, _title(point), label) for place, point, label in zip(places, known, labels, strict=True)
        ),
        trajectory=tuple(
            place for place, point in zip(places, known, strict=True) if point.kind in ("parent", "snapshot")
        ),
        x_ticks=tuple(AxisTick(x(value), size(value, exact=True)) for value in _size_ticks(x)),
        y_ticks=tuple(AxisTick(y(value), f"{round(value * 100, 6):g} %") for value in _y_ticks(y)),
        budget_x=budget_x,
    )


def _is_known(point: SizePoint) -> bool:
    size_bytes = finite(point.size_bytes)
    return size_bytes is not None and size_bytes > 0 and finite(point.accuracy) is not None


def _size_scale(sizes: list[float], budget: float | None) -> tuple[Scale, bool]:
    low, high = min(sizes), max(sizes)
    shows_budget = budget is not None and low / BUDGET_REACH <= budget <= high * BUDGET_REACH
    if budget is not None and shows_budget:
        low, high = min(low, budget), max(high, budget)
    return Scale(low / 1.6, high * 1.4, LEFT, WIDTH - RIGHT, "log"), shows_budget


def _accuracy_scale(accuracies: list[float]) -> Scale:
    low, high = min(accuracies), max(accuracies)
    room = max((high - low) * 0.15, 0.005)
    return Scale(max(low - room, 0.0), high + room, HEIGHT - BOTTOM, TOP)


def _y_ticks(scale: Scale) -> tuple[float, ...]:
    ticks = linear_ticks(scale.low, scale.high, 6)
    return spaced(tuple(value for value in ticks if value <= 1), scale, Y_GAP)


def _size_ticks(scale: Scale) -> tuple[float, ...]:
    values = round_values(scale.low, scale.high)
    by_roundness = sorted(values, key=lambda value: not f"{value:g}".strip("0.e+").startswith("1"))
    return spaced(tuple(by_roundness), scale, X_GAP)


def _labels(points: list[SizePoint], places: list[tuple[float, float]], budget_x: float | None) -> list[Label | None]:
    importance = {"deployed": 1, "parent": 2, "rung": 3, "student": 4, "snapshot": 5}
    order = sorted(range(len(points)), key=lambda i: 0 if points[i].chosen else importance[points[i].kind])
    frame = Box(LEFT, TOP, WIDTH, HEIGHT - BOTTOM)
    line = [] if budget_x is None else [Box(budget_x - 2, TOP, budget_x + 2, HEIGHT - BOTTOM)]
    essential = [index for index, point in enumerate(points) if point.chosen or point.kind == "deployed"]
    return place_labels([point.label for point in points], places, order, frame, line, essential)


def _title(point: SizePoint) -> str:
    chosen = ", chosen" if point.chosen else ""
    note = f" {MISSING} {point.note}" if point.note else ""
    return f"{point.label}{chosen}: {size(point.size_bytes)}, {percent(point.accuracy)} on validation{note}"

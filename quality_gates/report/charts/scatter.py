"""The size/accuracy picture: bytes on a log axis, validation accuracy above it, labels that cover nothing."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from quality_gates.report.charts.scales import Scale, linear_ticks, round_values, spaced
from quality_gates.report.content import SizePoint
from quality_gates.report.quantities import MISSING, Unit, finite, score, size

WIDTH, HEIGHT = 640.0, 400.0
LEFT, RIGHT, TOP, BOTTOM = 84.0, 18.0, 30.0, 62.0
X_GAP, Y_GAP = 92.0, 34.0
# A budget further off than this many times the sizes seen would squeeze the points into a corner.
BUDGET_REACH = 10.0
# Labels are sized for the larger lettering of a narrow screen, so that what fits there fits everywhere.
CHARACTER_WIDTH = 11.0
LINE_HEIGHT = 20.0
POINT_RADIUS = 12.0
OFFSET = 16.0


@dataclass(frozen=True)
class Box:
    """A rectangle in picture units."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: "Box") -> bool:
        """Return True where the two share any area."""
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom

    def within(self, frame: "Box") -> bool:
        """Return True where this lies wholly inside of the frame."""
        across = self.left >= frame.left and self.right <= frame.right
        return across and self.top >= frame.top and self.bottom <= frame.bottom


@dataclass(frozen=True)
class Label:
    """A place of a label: its baseline starts, ends or centres there, by its SVG text-anchor."""

    x: float
    y: float
    anchor: Literal["start", "middle", "end"]


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


def frontier_picture(points: Sequence[SizePoint], budget: float | None, shares: bool = True) -> FrontierPicture | None:
    """Lay out every point with a size and an accuracy; None where there is none.

    `shares` says that accuracies are shares of rows, which are never below 0 or above 1.
    """
    known = [point for point in points if _is_known(point)]
    if not known:
        return None
    x, shows_budget = _size_scale([point.size_bytes or 0.0 for point in known], finite(budget))
    y = _accuracy_scale([point.accuracy or 0.0 for point in known], shares)
    places = [(x(point.size_bytes or 0.0), y(point.accuracy or 0.0)) for point in known]
    budget_x = x(budget) if budget is not None and shows_budget else None
    labels = _labels(known, places, budget_x)
    return FrontierPicture(
        marks=tuple(
            Mark(*place, point, _title(point, shares), label)
            for place, point, label in zip(places, known, labels, strict=True)
        ),
        trajectory=tuple(
            place for place, point in zip(places, known, strict=True) if point.kind in ("parent", "snapshot")
        ),
        x_ticks=tuple(AxisTick(x(value), size(value, exact=True)) for value in _size_ticks(x)),
        y_ticks=tuple(AxisTick(y(value), Unit("score", False, shares).tick(value)) for value in _y_ticks(y, shares)),
        budget_x=budget_x,
    )


def place_labels(
    texts: Sequence[str],
    places: Sequence[tuple[float, float]],
    order: Sequence[int],
    frame: Box,
    obstacles: Sequence[Box] = (),
    essential: Collection[int] = (),
) -> list[Label | None]:
    """Place labels greedily in the given order of importance; None for a label that fits on no side of its point.

    Essential labels may overlap an obstacle rather than be dropped.
    """
    taken = [_around(x, y) for x, y in places]
    labels: list[Label | None] = [None] * len(texts)
    for index in order:
        options = [(label, box) for label, box in _options(texts[index], *places[index]) if box.within(frame)]
        found = _free(options, [*obstacles, *taken])
        if found is None and index in essential:
            found = _free(options, taken)
        if found is not None:
            labels[index] = found[0]
            taken.append(found[1])
    return labels


def _is_known(point: SizePoint) -> bool:
    size_bytes = finite(point.size_bytes)
    return size_bytes is not None and size_bytes > 0 and finite(point.accuracy) is not None


def _size_scale(sizes: list[float], budget: float | None) -> tuple[Scale, bool]:
    low, high = min(sizes), max(sizes)
    shows_budget = budget is not None and low / BUDGET_REACH <= budget <= high * BUDGET_REACH
    if budget is not None and shows_budget:
        low, high = min(low, budget), max(high, budget)
    return Scale(low / 1.6, high * 1.4, LEFT, WIDTH - RIGHT, "log"), shows_budget


def _accuracy_scale(accuracies: list[float], shares: bool) -> Scale:
    low, high = min(accuracies), max(accuracies)
    room = room_beside(low, high, shares)
    return Scale(max(low - room, 0.0) if shares else low - room, high + room, HEIGHT - BOTTOM, TOP)


def room_beside(low: float, high: float, shares: bool) -> float:
    """Return the room above and below the scores of a picture; scores that are no shares take it from their size."""
    return max((high - low) * 0.15, 0.005 if shares else 0.005 * max(abs(low), abs(high)) or 0.005)


def _y_ticks(scale: Scale, shares: bool) -> tuple[float, ...]:
    ticks = linear_ticks(scale.low, scale.high, 6)
    return spaced(tuple(value for value in ticks if value <= 1 or not shares), scale, Y_GAP)


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


def _title(point: SizePoint, shares: bool) -> str:
    chosen = ", chosen" if point.chosen else ""
    note = f" {MISSING} {point.note}" if point.note else ""
    return f"{point.label}{chosen}: {size(point.size_bytes)}, {score(point.accuracy, shares)} on validation{note}"


def _free(options: Sequence[tuple[Label, Box]], taken: Sequence[Box]) -> tuple[Label, Box] | None:
    return next((option for option in options if not any(option[1].overlaps(other) for other in taken)), None)


def _around(x: float, y: float) -> Box:
    return Box(x - POINT_RADIUS, y - POINT_RADIUS, x + POINT_RADIUS, y + POINT_RADIUS)


def _options(text: str, x: float, y: float) -> list[tuple[Label, Box]]:
    width, half = len(text) * CHARACTER_WIDTH, LINE_HEIGHT / 2
    baseline = y + LINE_HEIGHT * 0.28
    above, below = y - OFFSET - LINE_HEIGHT, y + OFFSET
    return [
        (Label(x + OFFSET, baseline, "start"), Box(x + OFFSET, y - half, x + OFFSET + width, y + half)),
        (Label(x - OFFSET, baseline, "end"), Box(x - OFFSET - width, y - half, x - OFFSET, y + half)),
        (
            Label(x, above + LINE_HEIGHT * 0.75, "middle"),
            Box(x - width / 2, above, x + width / 2, above + LINE_HEIGHT),
        ),
        (
            Label(x, below + LINE_HEIGHT * 0.75, "middle"),
            Box(x - width / 2, below, x + width / 2, below + LINE_HEIGHT),
        ),
    ]

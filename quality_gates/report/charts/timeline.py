"""The pictures of a model's history on one device: what became of its figures from version to version."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from edge_runtime.measurement import RESOURCES
from quality_gates.report.charts.scales import Scale, linear_ticks, spaced
from quality_gates.report.charts.scatter import LEFT, RIGHT, WIDTH, AxisTick, room_beside
from quality_gates.report.content import HistoryRow
from quality_gates.report.quantities import Unit, finite, quantity, score_title

TOP = 14.0
GAP = 34.0
INSET = 40.0  # between the axis and the first dot
MOST_LABELS = 12
TALL, LOW = 200.0, 110.0

Readers: TypeAlias = Mapping[str, Callable[[HistoryRow], float | None]]


@dataclass(frozen=True)
class Dot:
    """One version's figure; hollow where it was refused, with a ring where it was published on an approval."""

    x: float
    y: float
    published: bool
    overridden: bool


@dataclass(frozen=True)
class Line:
    """One figure over the versions, and its name."""

    name: str
    dots: tuple[Dot, ...]


@dataclass(frozen=True)
class HistoryPicture:
    """Coordinates of one picture; `deployed` is the span from x to x in which each version was deployed."""

    title: str
    bottom: float
    lines: tuple[Line, ...]
    x_ticks: tuple[AxisTick, ...]
    y_ticks: tuple[AxisTick, ...]
    deployed: tuple[tuple[float, float], ...]


def history_pictures(rows: Sequence[HistoryRow], shares: bool = True) -> tuple[HistoryPicture, ...]:
    """Accuracy with the critical slice, file size, and latency over the versions in their order.

    A picture is left out where fewer than two versions have its figure. `shares` says that accuracies are shares of
    rows, which are never below 0 or above 1.
    """
    accuracies: Readers = {"accuracy": lambda row: row.accuracy, "critical": lambda row: row.critical}
    drawn = (
        _picture(score_title(shares), rows, accuracies, TALL, Unit("score", False, shares).tick, _ceiling(shares)),
        *(_resource_picture(rows, name) for name in ("size_bytes", "latency_p50_ms")),
    )
    return tuple(picture for picture in drawn if picture is not None)


def _ceiling(shares: bool) -> float:
    return 1.0 if shares else math.inf


def _resource_picture(rows: Sequence[HistoryRow], name: str) -> HistoryPicture | None:
    readers: Readers = {name: lambda row: None if row.figures is None else row.figures.value(name)}
    return _picture(RESOURCES[name].title, rows, readers, LOW, partial(quantity, name, exact=True))


def _picture(
    title: str, rows: Sequence[HistoryRow], readers: Readers, height: float, write: Callable[[float], str],
    ceiling: float | None = None,
) -> HistoryPicture | None:  # fmt: skip
    values = [value for row in rows for read in readers.values() if (value := finite(read(row))) is not None]
    first = next(iter(readers.values()))
    if sum(finite(first(row)) is not None for row in rows) < 2:
        return None
    y = _scale(values, TOP + height, ceiling)
    step = (WIDTH - RIGHT - LEFT - 2 * INSET) / max(len(rows) - 1, 1)
    places = [LEFT + INSET + index * step for index in range(len(rows))]
    ticks = spaced(tuple(value for value in linear_ticks(y.low, y.high, 4) if value <= (ceiling or value)), y, GAP)
    lines = tuple(_line(name, read, rows, places, y) for name, read in readers.items())
    return HistoryPicture(
        title,
        TOP + height,
        tuple(line for line in lines if line.dots),
        _versions(rows, places),
        tuple(AxisTick(y(value), write(value)) for value in ticks),
        _deployed(rows, places, step),
    )


def _scale(values: Sequence[float], bottom: float, ceiling: float | None) -> Scale:
    if ceiling is None:  # bytes and milliseconds stand on zero: half as high is half as much
        return Scale(0.0, max(values) * 1.15 or 1.0, bottom, TOP)
    shares, low, high = math.isfinite(ceiling), min(values), max(values)
    room = room_beside(low, high, shares)
    return Scale(max(low - room, 0.0) if shares else low - room, min(high + room, ceiling + room), bottom, TOP)


def _versions(rows: Sequence[HistoryRow], places: Sequence[float]) -> tuple[AxisTick, ...]:
    """Not every one of many, but always the last: it is the version that the page is about."""
    every = -(-len(rows) // MOST_LABELS)
    named = list(zip(places, rows, strict=True))[::-every][::-1]
    return tuple(AxisTick(place, f"v{row.version}") for place, row in named)


def _deployed(rows: Sequence[HistoryRow], places: Sequence[float], step: float) -> tuple[tuple[float, float], ...]:
    """From each published version to the next one; the last is deployed still."""
    starts = [place for place, row in zip(places, rows, strict=True) if row.published]
    return tuple(zip(starts, [*starts[1:], places[-1] + min(step, INSET)], strict=True)) if starts else ()


def _line(
    name: str, read: Callable[[HistoryRow], float | None], rows: Sequence[HistoryRow], places: Sequence[float], y: Scale
) -> Line:
    known = [(place, row, finite(read(row))) for place, row in zip(places, rows, strict=True)]
    dots = (Dot(place, y(value), row.published, row.overridden) for place, row, value in known if value is not None)
    return Line(name, tuple(dots))

"""The pictures of a model's history on one device: what became of its figures from version to version."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from quality_gates.report.charts.scales import Scale, linear_ticks, spaced
from quality_gates.report.charts.scatter import LEFT, RIGHT, WIDTH, AxisTick
from quality_gates.report.content import HistoryRow
from quality_gates.report.quantities import finite, quantity, size

TOP = 14.0
GAP = 34.0
INSET = 40.0  # between the axis and the first dot
MOST_LABELS = 12
TALL, LOW = 200.0, 110.0


@dataclass(frozen=True)
class Dot:
    """One version's figure; hollow where it was refused, with a ring where it was published on an approval."""

    x: float
    y: float
    published: bool
    overridden: bool


@dataclass(frozen=True)
class Line:
    """One figure over the versions: the field of HistoryRow that it is."""

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


def history_pictures(rows: Sequence[HistoryRow]) -> tuple[HistoryPicture, ...]:
    """Accuracy with the critical slice, file size, and latency over the versions in their order.

    A picture is left out where fewer than two versions have its figure.
    """
    drawn = (
        _picture("Accuracy", rows, ("accuracy", "critical"), TALL, lambda value: f"{round(value * 100, 6):g} %", 1.0),
        _picture("File size", rows, ("size_bytes",), LOW, lambda value: size(value, exact=True)),
        _picture("Latency p50", rows, ("latency_p50_ms",), LOW, lambda value: quantity("_ms", value, exact=True)),
    )
    return tuple(picture for picture in drawn if picture is not None)


def _picture(
    title: str, rows: Sequence[HistoryRow], fields: tuple[str, ...], height: float, write: Callable[[float], str],
    ceiling: float | None = None,
) -> HistoryPicture | None:  # fmt: skip
    values = [value for row in rows for field in fields if (value := finite(getattr(row, field))) is not None]
    if sum(finite(getattr(row, fields[0])) is not None for row in rows) < 2:
        return None
    y = _scale(values, TOP + height, ceiling)
    step = (WIDTH - RIGHT - LEFT - 2 * INSET) / max(len(rows) - 1, 1)
    places = [LEFT + INSET + index * step for index in range(len(rows))]
    ticks = spaced(tuple(value for value in linear_ticks(y.low, y.high, 4) if value <= (ceiling or value)), y, GAP)
    lines = tuple(_line(field, rows, places, y) for field in fields)
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
    room = max((max(values) - min(values)) * 0.15, 0.005)
    return Scale(max(min(values) - room, 0.0), min(max(values) + room, ceiling + room), bottom, TOP)


def _versions(rows: Sequence[HistoryRow], places: Sequence[float]) -> tuple[AxisTick, ...]:
    """Not every one of many, but always the last: it is the version that the page is about."""
    every = -(-len(rows) // MOST_LABELS)
    named = list(zip(places, rows, strict=True))[::-every][::-1]
    return tuple(AxisTick(place, f"v{row.version}") for place, row in named)


def _deployed(rows: Sequence[HistoryRow], places: Sequence[float], step: float) -> tuple[tuple[float, float], ...]:
    """From each published version to the next one; the last is deployed still."""
    starts = [place for place, row in zip(places, rows, strict=True) if row.published]
    return tuple(zip(starts, [*starts[1:], places[-1] + min(step, INSET)], strict=True)) if starts else ()


def _line(name: str, rows: Sequence[HistoryRow], places: Sequence[float], y: Scale) -> Line:
    known = [(place, row, finite(getattr(row, name))) for place, row in zip(places, rows, strict=True)]
    dots = (Dot(place, y(value), row.published, row.overridden) for place, row, value in known if value is not None)
    return Line(name, tuple(dots))

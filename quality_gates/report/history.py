"""The picture of a model's history on one device: accuracy and the critical slice over the versions."""

from collections.abc import Sequence
from dataclasses import dataclass

from quality_gates.report.content import HistoryRow
from quality_gates.report.frontier import LEFT, RIGHT, WIDTH, AxisTick
from quality_gates.report.quantities import finite
from quality_gates.report.scales import Scale, linear_ticks, spaced

TOP, BOTTOM = 14.0, 214.0
GAP = 34.0
INSET = 40.0  # between the axis and the first dot


@dataclass(frozen=True)
class Dot:
    """One version's figure; hollow where it was refused."""

    x: float
    y: float
    published: bool


@dataclass(frozen=True)
class Line:
    """One figure over the versions: `accuracy` or `critical`."""

    name: str
    dots: tuple[Dot, ...]


@dataclass(frozen=True)
class HistoryPicture:
    """Coordinates of the history's picture."""

    lines: tuple[Line, ...]
    x_ticks: tuple[AxisTick, ...]
    y_ticks: tuple[AxisTick, ...]


def history_picture(rows: Sequence[HistoryRow]) -> HistoryPicture | None:
    """Lay out the versions in their order; None where fewer than two have a figure."""
    values = [value for row in rows for value in (finite(row.accuracy), finite(row.critical)) if value is not None]
    if sum(finite(row.accuracy) is not None for row in rows) < 2:
        return None
    room = max((max(values) - min(values)) * 0.15, 0.005)
    y = Scale(max(min(values) - room, 0.0), min(max(values) + room, 1.0 + room), BOTTOM, TOP)
    step = (WIDTH - RIGHT - LEFT - 2 * INSET) / max(len(rows) - 1, 1)
    places = [LEFT + INSET + index * step for index in range(len(rows))]
    lines = tuple(_line(name, rows, places, y) for name in ("accuracy", "critical"))
    ticks = spaced(tuple(value for value in linear_ticks(y.low, y.high, 5) if value <= 1), y, GAP)
    every = -(-len(rows) // 12)
    return HistoryPicture(
        tuple(line for line in lines if line.dots),
        tuple(AxisTick(place, f"v{row.version}") for place, row in list(zip(places, rows, strict=True))[::every]),
        tuple(AxisTick(y(value), f"{round(value * 100, 6):g} %") for value in ticks),
    )


def _line(name: str, rows: Sequence[HistoryRow], places: Sequence[float], y: Scale) -> Line:
    known = [(place, row, finite(getattr(row, name))) for place, row in zip(places, rows, strict=True)]
    return Line(name, tuple(Dot(place, y(value), row.published) for place, row, value in known if value is not None))

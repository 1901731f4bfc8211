"""The tables of the report as words and numbers that are ready to print."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from edge_runtime.measurement import RESOURCES, Resource
from quality_gates.report.content import ReportContent, Side, SliceRow
from quality_gates.report.quantities import figure, finite, points, quantity, ratio


@dataclass(frozen=True)
class Cell:
    """A value and, where it belongs to a reference, how the candidate compares with it."""

    value: str
    note: str = ""


@dataclass(frozen=True)
class SideRow:
    """One quantity across the models."""

    label: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class SliceLine:
    """One slice with the candidate's changes; None where one of the two is missing."""

    row: SliceRow
    vs_deployed: float | None
    vs_parent: float | None


def side_rows(sides: Sequence[Side]) -> tuple[SideRow, ...]:
    """Accuracy, slices and resources of every model, with the candidate's change beside each reference."""
    rows = [_proportions("Accuracy", sides, lambda side: side.accuracy)]
    for name in dict.fromkeys(value.name for side in sides for value in side.slices):
        rows.append(_proportions(name, sides, partial(_slice_value, name)))
    rows += [_figures(sides, name, resource) for name, resource in RESOURCES.items()]
    return tuple(rows)


def slice_lines(rows: Sequence[SliceRow]) -> tuple[SliceLine, ...]:
    """The slices, the one that lost most against what runs now first; slices that were not measured last."""
    lines = [SliceLine(row, _change(row.candidate, row.deployed), _change(row.candidate, row.parent)) for row in rows]
    return tuple(sorted(lines, key=_worst_first))


def deployed_words(content: ReportContent) -> str:
    """What ran on the device when the gates decided, in words."""
    return f"version {content.deployed_version}" if content.deployed_version is not None else "none yet"


def _worst_first(line: SliceLine) -> tuple[bool, float]:
    change = line.vs_deployed if line.vs_deployed is not None else line.vs_parent
    return change is None, change or 0.0


def _change(candidate: float | None, reference: float | None) -> float | None:
    ours, theirs = finite(candidate), finite(reference)
    return None if ours is None or theirs is None else ours - theirs


def _slice_value(name: str, side: Side) -> float | None:
    return next((value.value for value in side.slices if value.name == name), None)


def _candidate(sides: Sequence[Side]) -> Side | None:
    return next((side for side in sides if side.role == "candidate"), None)


def _resource_note(times: str | None) -> str:
    return "" if times is None else f"candidate {times}" if "×" in times else times


def _compared(change: float | None) -> str:
    if change is None:
        return ""
    return f"candidate {points(change)}" if change else "the same"


def _proportions(label: str, sides: Sequence[Side], read: Callable[[Side], float | None]) -> SideRow:
    candidate = _candidate(sides)
    cells = []
    for side in sides:
        change = _change(read(candidate), read(side)) if candidate and side is not candidate else None
        cells.append(Cell(quantity("proportion", read(side)), _compared(change)))
    return SideRow(label, tuple(cells))


def _figures(sides: Sequence[Side], name: str, resource: Resource) -> SideRow:
    candidate = _candidate(sides)
    cells = []
    for side in sides:
        times = None
        if candidate and side is not candidate and candidate.figures and side.figures:
            times = ratio(candidate.figures.value(name), side.figures.value(name), resource.less, resource.more)
        cells.append(Cell(figure(side.figures, name), _resource_note(times)))
    return SideRow(resource.title, tuple(cells))

"""The confusion matrix as heat maps: the candidate's mistakes, and their change against the reference."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from quality_gates.report.content import Confusion, Matrix, is_shown
from quality_gates.report.quantities import MINUS, percent

SHALLOWEST, DEEPEST = 10, 55  # percent of the tone: less is not seen, on more the numbers could not be read
LONGEST_LEVEL = 4  # characters of a class that still stand level above a column
Tone = Literal["right", "wrong", "better", "worse", "empty"]


@dataclass(frozen=True)
class HeatCell:
    """A number, its tone, how deep that is in percent, and the cell in words."""

    text: str
    tone: Tone
    depth: int
    words: str


@dataclass(frozen=True)
class HeatMap:
    """One table: a line of cells per class."""

    title: str
    lines: tuple[tuple[HeatCell, ...], ...]


@dataclass(frozen=True)
class ConfusionPicture:
    """The candidate's matrix and, where there is a reference, the change against it."""

    classes: tuple[str, ...]
    upright: bool
    maps: tuple[HeatMap, ...]


def confusion_picture(confusion: Confusion | None, against: str) -> ConfusionPicture | None:
    """Lay out both heat maps; None where there is no matrix."""
    if confusion is None:
        return None
    maps = [HeatMap("Candidate", _lines(confusion, against, _count(confusion)))]
    if confusion.reference is not None:
        title = f"Change against {against}"
        maps.append(HeatMap(title, _lines(confusion, against, _change(confusion, confusion.reference))))
    longest = max(map(len, confusion.classes))
    return ConfusionPicture(confusion.classes, longest > LONGEST_LEVEL, tuple(maps))


_Shown = Callable[[int, int], tuple[str, Tone, float]]


def _lines(confusion: Confusion, against: str, shown: _Shown) -> tuple[tuple[HeatCell, ...], ...]:
    places = range(len(confusion.classes))
    return tuple(tuple(_cell(confusion, against, shown, line, column) for column in places) for line in places)


def _cell(confusion: Confusion, against: str, shown: _Shown, line: int, column: int) -> HeatCell:
    text, tone, depth = shown(line, column)
    percents = 0 if tone == "empty" else round(SHALLOWEST + (DEEPEST - SHALLOWEST) * depth)
    return HeatCell(text, tone, percents, _words(confusion, against, line, column))


def _count(confusion: Confusion) -> _Shown:
    """The diagonal is as deep as its share of the label's rows; a mistake as its share of the largest mistake's."""
    shares = [[_share(count, row) for count in row] for row in confusion.candidate]
    largest = max(_besides_diagonal(shares), default=0.0)

    def shown(line: int, column: int) -> tuple[str, Tone, float]:
        count, share = confusion.candidate[line][column], shares[line][column]
        if not count:
            return "0", "empty", 0.0
        return f"{count:,}", "right" if line == column else "wrong", share if line == column else share / largest

    return shown


def _change(confusion: Confusion, reference: Matrix) -> _Shown:
    changes = [
        [ours - theirs for ours, theirs in zip(*rows, strict=True)]
        for rows in zip(confusion.candidate, reference, strict=True)
    ]
    largest = max(abs(change) for row in changes for change in row)

    def shown(line: int, column: int) -> tuple[str, Tone, float]:
        change = changes[line][column]
        if not change:
            return "0", "empty", 0.0
        if not _moves(confusion, reference, line, column):
            return f"{change:+,}".replace("-", MINUS), "empty", 0.0
        better = (change > 0) is (line == column)
        return f"{change:+,}".replace("-", MINUS), "better" if better else "worse", abs(change) / largest

    return shown


def _moves(confusion: Confusion, reference: Matrix, line: int, column: int) -> bool:
    """Return True where a change is more than chance: rows of a label that are right are wrong ones seen otherwise."""
    ours, theirs = confusion.candidate[line], reference[line]
    if line == column:
        return is_shown(sum(ours) - ours[column], sum(theirs) - theirs[column])
    return is_shown(ours[column], theirs[column])


def _words(confusion: Confusion, against: str, line: int, column: int) -> str:
    name, taken, row = confusion.classes[line], confusion.classes[column], confusion.candidate[line]
    what = f"{name}, answered right" if line == column else f"{name}, taken for {taken}"
    said = f"{what}: {row[column]:,} of {sum(row):,} rows ({percent(_share(row[column], row))})"
    return said if confusion.reference is None else f"{said}; {against}: {confusion.reference[line][column]:,}"


def _share(count: int, row: tuple[int, ...]) -> float:
    return count / max(sum(row), 1)


def _besides_diagonal(shares: list[list[float]]) -> Iterator[float]:
    return (share for i, row in enumerate(shares) for j, share in enumerate(row) if i != j)

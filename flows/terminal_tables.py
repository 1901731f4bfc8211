"""Tables for terminals of any width: a name is never cut, and nothing that does not fit is lost."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.text import Text

GAP = 2
INDENT = 4


@dataclass(frozen=True)
class Column:
    """A column; the one with the highest `spare` is the first to go below its row where the terminal is narrow.

    One with 0 always stays.
    """

    heading: str
    right: bool = False
    spare: int = 0


@dataclass(frozen=True)
class Row:
    """The cells of one row, in the order of the columns, and a text that may stand on lines of its own below them."""

    cells: Sequence[Text | str]
    note: str = ""
    style: str = ""


@dataclass(frozen=True)
class TerminalTable:
    """A table that is laid out when it is printed, by the width of the terminal.

    The notes are the last column where all fits. Else they stand below their rows, and so do the columns that can be
    spared, with their headings. A row that is too wide even so goes on in the next line, at the end of a cell.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    noted: str = "note"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lay out title, headings and rows for the width at hand."""
        yield Text(self.title, style="italic")
        if self._beside(options.max_width):
            yield from self._whole()
            return
        shown = self._shown(options.max_width)
        yield self._line([Text(self.columns[at].heading) for at in shown], shown, "bold")
        for row in self.rows:
            yield self._line([_text(row.cells[at]) for at in shown], shown, row.style)
            yield from (Padding(text, (0, 0, 0, INDENT), expand=False) for text in self._below(row, shown))

    def _beside(self, width: int) -> bool:
        """Tell whether everything fits into single lines, the notes as the last column."""
        notes = max((cell_len(row.note) for row in self.rows), default=0)
        needed = self._needed(range(len(self.columns)))
        return needed + (GAP + max(notes, cell_len(self.noted)) if notes else 0) <= width

    def _whole(self) -> RenderResult:
        every = range(len(self.columns))
        noted = self.noted if any(row.note for row in self.rows) else ""
        yield self._line([Text(column.heading) for column in self.columns], every, "bold", noted)
        for row in self.rows:
            yield self._line([_text(cell) for cell in row.cells], every, row.style, row.note)

    def _shown(self, width: int) -> list[int]:
        """Return the columns that fit, those that can be spared least."""
        shown = list(range(len(self.columns)))
        while self._needed(shown) > width and any(self.columns[at].spare for at in shown):
            shown.remove(max(shown, key=lambda at: self.columns[at].spare))
        return shown

    def _needed(self, columns: Sequence[int]) -> int:
        return sum(self._widths[at] + GAP for at in columns) - GAP

    @cached_property
    def _widths(self) -> list[int]:
        """The width of each column, seen once: every line of a long table asks for all of them."""
        return [
            max(cell_len(column.heading), *(_text(row.cells[at]).cell_len for row in self.rows), 0)
            for at, column in enumerate(self.columns)
        ]

    def _line(self, cells: Sequence[Text], columns: Sequence[int], style: str, note: str = "") -> Text:
        line = Text(style=style, overflow="fold")
        for at, cell in zip(columns, cells, strict=True):
            room = " " * (self._widths[at] - cell.cell_len)
            line = line + (Text(room) + cell if self.columns[at].right else cell + Text(room)) + Text(" " * GAP)
        line = line + Text(note)
        line.rstrip()
        return line

    def _below(self, row: Row, shown: Sequence[int]) -> list[Text]:
        """Return what stands below a row: the cells that found no room beside each other, and the note."""
        spared = [
            f"{column.heading} {text}"
            for at, column in enumerate(self.columns)
            if at not in shown and (text := _text(row.cells[at]).plain)
        ]
        return [Text(text, overflow="fold") for text in (", ".join(spared), row.note) if text]


def _text(cell: Text | str) -> Text:
    return cell if isinstance(cell, Text) else Text(cell)

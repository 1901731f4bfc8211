"""The loss ledger: what each stage on the way to the chosen file cost, overall and per slice."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from quality_gates.report.content import LedgerRow
from quality_gates.report.quantities import finite


@dataclass(frozen=True)
class LedgerLine:
    """One stage: for each column the figure after it and its change by it; None where one is missing."""

    row: LedgerRow
    figures: tuple[tuple[float | None, float | None], ...]


@dataclass(frozen=True)
class Ledger:
    """The ledger's columns, accuracy and the slices, and its lines."""

    columns: tuple[str, ...]
    lines: tuple[LedgerLine, ...]


def ledger_of(rows: Sequence[LedgerRow]) -> Ledger | None:
    """Lay out the stages in their order; None where there are none. The last line is the change by all of them."""
    if not rows:
        return None
    slices = tuple(dict.fromkeys(value.name for row in rows for value in row.slices))
    lines = [_line(rows[0], None, slices), *(_line(row, before, slices) for before, row in pairwise(rows))]
    if len(rows) > 2:
        together = rows[-1].model_copy(update={"stage": "all of them", "seconds": _total(rows)})
        lines.append(_line(together, rows[0], slices))
    return Ledger(("Accuracy", *slices), tuple(lines))


def _line(row: LedgerRow, before: LedgerRow | None, slices: tuple[str, ...]) -> LedgerLine:
    figures = []
    for name in (None, *slices):
        value, earlier = _figure(row, name), None if before is None else _figure(before, name)
        figures.append((value, None if value is None or earlier is None else value - earlier))
    return LedgerLine(row, tuple(figures))


def _figure(row: LedgerRow, name: str | None) -> float | None:
    if name is None:
        return finite(row.accuracy)
    return finite(next((value.value for value in row.slices if value.name == name), None))


def _total(rows: Sequence[LedgerRow]) -> float | None:
    known = [row.seconds for row in rows if row.seconds is not None]
    return sum(known) if known else None

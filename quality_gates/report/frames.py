"""The facts of the report as tables of plain values, for whoever wants to search, compare or plot them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from edge_runtime.measurement import RESOURCES
from quality_gates.report.content import LayerRow, LedgerRow, ReportContent, RungRow, Side, SizePoint

Row = Mapping[str, Any]


def report_tables(content: ReportContent) -> dict[str, Sequence[Row]]:
    """Rows by table: gates, models, ladder, ledger, layers, slices, frontier, mistakes and flips; no table is empty.

    Slices of the models and of the ledger are columns of their own; pictures of flipped rows are not in it.
    """
    tables: dict[str, Sequence[Row]] = {
        "gates": [gate.model_dump() for gate in content.verdict.gates],
        "models": [_with_slices(side) for side in content.sides],
        "ladder": [_flat(row) for row in content.rungs],
        "ledger": [_with_slices(row) for row in content.ledger],
        "layers": [_with_slices(row) for row in content.layers],
        "slices": [row.model_dump() for row in content.slices],
        "frontier": [_flat(point) for point in content.points],
        "mistakes": [row.model_dump() for row in content.mistakes],
        "flips": [row.model_dump(exclude={"image_png_base64"}) for row in content.flips],
    }
    return {name: rows for name, rows in tables.items() if rows}


def _with_slices(row: Side | LedgerRow | LayerRow) -> Row:
    return _flat(row, "slices") | {value.name: value.value for value in row.slices}


def _flat(row: Side | SizePoint | RungRow | LedgerRow | LayerRow, *without: str) -> dict[str, Any]:
    """Return the row with each figure in a column of its own, empty where the file was not measured."""
    columns = row.model_dump(exclude={*without, "figures"})
    if isinstance(row, LedgerRow | LayerRow):
        return columns
    figures = dict.fromkeys(RESOURCES) if row.figures is None else asdict(row.figures)
    return figures | columns

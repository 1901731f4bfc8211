"""The frontier of a version as a table for the terminal."""

from rich.table import Table
from rich.text import Text

from quality_gates.report import ReportContent, SizePoint, figure, percent, size

COLUMNS = ("accuracy", "size", "p50", "peak RSS")


def frontier_table(content: ReportContent) -> Table:
    """Every model of a version's search on one device, the smallest first; accuracy is on validation."""
    title = f"{content.model} version {content.version} on {content.device}"
    table = Table(title=title, title_justify="left", box=None)
    table.add_column("model", overflow="fold")
    for column in COLUMNS:
        table.add_column(column, justify="right", no_wrap=True)
    for column in ("gates hold", "pareto"):
        table.add_column(column)
    table.add_column("how it was made", overflow="fold")
    for point in sorted(content.points, key=lambda point: point.size_bytes or 0.0):
        table.add_row(*_cells(point), style="bold" if point.chosen else None)
    return table


def _cells(point: SizePoint) -> list[Text]:
    label = f"{point.label} (chosen)" if point.chosen else point.label
    figures = percent(point.accuracy), size(point.size_bytes)
    resources = figure(point.figures, "latency_p50_ms"), figure(point.figures, "peak_rss_mb")
    holds = "" if point.holds is None else "yes" if point.holds else "no"
    pareto = "yes" if point.pareto else "no" if point.kind == "rung" else ""
    return [Text(cell) for cell in (label, *figures, *resources, holds, pareto, point.note)]

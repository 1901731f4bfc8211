"""The gate report that a release owner reads: one page per model version and device.

The facts come in as a `ReportContent`, gathered by the pipeline; an HTML page, a text for the terminal and plain tables
go out. Pictures are laid out in `charts`.
"""

from quality_gates.report.charts import ThumbnailError, png_base64
from quality_gates.report.content import (
    Confusion,
    FlippedRow,
    HistoryRow,
    LayerRow,
    LedgerRow,
    Mistake,
    ReportContent,
    RungRow,
    Side,
    SizePoint,
    SliceRow,
    SliceValue,
)
from quality_gates.report.quantities import figure, percent, quantity, score, score_title, score_writer, size
from quality_gates.report.render import render_html, render_text
from quality_gates.report.tables import report_tables

__all__ = [
    "Confusion",
    "FlippedRow",
    "HistoryRow",
    "LayerRow",
    "LedgerRow",
    "Mistake",
    "ReportContent",
    "RungRow",
    "Side",
    "SizePoint",
    "SliceRow",
    "SliceValue",
    "ThumbnailError",
    "figure",
    "percent",
    "png_base64",
    "quantity",
    "render_html",
    "render_text",
    "report_tables",
    "score",
    "score_title",
    "score_writer",
    "size",
]

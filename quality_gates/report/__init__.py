"""The gate report that a release owner reads: one page per model version and device."""

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
from quality_gates.report.frames import report_tables
from quality_gates.report.quantities import figure, percent, quantity, size
from quality_gates.report.render import render_html
from quality_gates.report.text import render_text
from quality_gates.report.thumbnails import ThumbnailError, png_base64

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
    "size",
]

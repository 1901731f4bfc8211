"""The gate report that a release owner reads: one page per model version and device.

The facts come in as a `ReportContent`, gathered by the pipeline; an HTML page, a text for the terminal and plain tables
go out, with a model card in Markdown and an attestation in JSON. Pictures are laid out in `charts`.
"""

from quality_gates.report.charts import ThumbnailError, png_base64
from quality_gates.report.content import (
    ClassOverlap,
    Confusion,
    DataSplit,
    DrawnRow,
    FlippedRow,
    HistoryRow,
    LayerRow,
    LedgerRow,
    Mistake,
    Origin,
    Picture,
    ReportContent,
    RungRow,
    ShippedFile,
    Side,
    SizePoint,
    SliceRow,
    SliceValue,
)
from quality_gates.report.gate_rows import worst_gate
from quality_gates.report.in_toto import PAYLOAD_TYPE, attestation
from quality_gates.report.model_card import (
    data_table,
    decision_lines,
    figure_table,
    gate_table,
    render_model_card,
    tensor_table,
)
from quality_gates.report.quantities import figure, percent, quantity, score, score_title, score_writer, size
from quality_gates.report.render import render_html, render_text
from quality_gates.report.tables import report_tables

__all__ = [
    "PAYLOAD_TYPE",
    "ClassOverlap",
    "Confusion",
    "DataSplit",
    "DrawnRow",
    "FlippedRow",
    "HistoryRow",
    "LayerRow",
    "LedgerRow",
    "Mistake",
    "Origin",
    "Picture",
    "ReportContent",
    "RungRow",
    "ShippedFile",
    "Side",
    "SizePoint",
    "SliceRow",
    "SliceValue",
    "ThumbnailError",
    "attestation",
    "data_table",
    "decision_lines",
    "figure",
    "figure_table",
    "gate_table",
    "percent",
    "png_base64",
    "quantity",
    "render_html",
    "render_model_card",
    "render_text",
    "report_tables",
    "score",
    "score_title",
    "score_writer",
    "size",
    "tensor_table",
    "worst_gate",
]

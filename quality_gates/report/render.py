"""The gate report: one HTML page that needs no network, no scripts and no other file."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from quality_gates.report import quantities
from quality_gates.report.charts import confusion_picture, frontier_picture, history_pictures
from quality_gates.report.content import ReportContent
from quality_gates.report.gate_rows import OUTCOME_WORDS, gate_groups, remedies
from quality_gates.report.tables import comparison_lines, deployed_words, ledger_of, side_rows, slice_lines

MAX_FLIPS = 24
MAX_FINDINGS = 8
MAX_TEXT = 400


def render_html(content: ReportContent) -> str:
    """Return the whole page; every value of the content is escaped."""
    gates = content.verdict.gates
    return (
        _environment()
        .get_template("report.html")
        .render(
            c=content,
            groups=gate_groups(gates),
            confidences=sorted({gate.confidence for gate in gates if gate.confidence is not None}),
            remedies=remedies(gates),
            deployed=deployed_words(content),
            side_rows=side_rows(content.sides),
            frontier=frontier_picture(content.points, content.size_budget_bytes),
            slice_lines=slice_lines(content.slices),
            ledger=ledger_of(content.ledger),
            confusion=confusion_picture(content.confusion, content.flips_against),
            comparison_lines=comparison_lines(content.representativeness),
            max_findings=MAX_FINDINGS,
            history=history_pictures(content.history),
            flips=content.flips[:MAX_FLIPS],
            max_text=MAX_TEXT,
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("quality_gates.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["xy"] = lambda value: f"{value:.1f}"
    for name in ("percent", "points", "size", "duration", "figure"):
        environment.filters[name] = getattr(quantities, name)
        environment.globals["outcome_words"] = OUTCOME_WORDS
    return environment

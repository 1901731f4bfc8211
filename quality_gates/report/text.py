"""The gate report for a terminal: the verdict and a line per gate."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from quality_gates.report.content import ReportContent
from quality_gates.report.gates import OUTCOME_WORDS, remedies
from quality_gates.report.limits import limit_value
from quality_gates.report.quantities import MISSING, finite, points, quantity
from quality_gates.verdict import GateResult

_STYLES = {"pass": "green", "fail": "bold red", "inconclusive": "yellow", "not_applicable": "dim"}
_SYMBOLS = {"pass": "✓", "fail": "✗", "inconclusive": "?", "not_applicable": MISSING}

_WORDS = {**{key: word.lower() for key, word in OUTCOME_WORDS.items()}, "not_applicable": "n/a"}


def render_text(content: ReportContent) -> RenderableType:
    """Verdict, decision, the gates as a table and what would have to change; markup in names stays text."""
    outcome = content.verdict.outcome
    parts: list[RenderableType] = [
        Text(f"{content.model} version {content.version} on {content.device}", style="bold"),
        Text(f"{_SYMBOLS[outcome]} {content.verdict.headline}", style=_STYLES[outcome]),
        Text(content.decision),
        _gates_table(content.verdict.gates),
    ]
    parts += [Text(f"To change, {name}: {remedy}") for name, remedy in remedies(content.verdict.gates)]
    return Group(*parts)


def _gates_table(gates: tuple[GateResult, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("", no_wrap=True)
    table.add_column("gate", overflow="fold", min_width=12)
    for heading in ("result", "bounds", "threshold", "rows"):
        table.add_column(heading, justify="right", no_wrap=True)
    for gate in gates:
        table.add_row(*_cells(gate))
    return table


def _cells(gate: GateResult) -> list[Text]:
    outcome = Text(f"{_SYMBOLS[gate.outcome]} {_WORDS[gate.outcome]}", style=_STYLES[gate.outcome])
    if gate.kind == "limit":
        result, bounds, threshold = quantity(gate.metric, limit_value(gate)), "", quantity(gate.metric, gate.threshold)
    else:
        known = finite(gate.lower) is not None or finite(gate.upper) is not None
        bounds = f"{points(gate.lower)} .. {points(gate.upper)}" if known else ""
        result, threshold = points(gate.estimate), points(gate.threshold)
    rows = MISSING if gate.n is None else f"{gate.n:,}"
    return [outcome, *(Text(text) for text in (gate.name, result, bounds, threshold, rows))]

"""The gate report for readers: an HTML page that needs no network, no scripts and no other file, and a text version.

The text for a terminal has the verdict and its reasons, a line per gate, the models side by side and the loss ledger.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from quality_gates.report import quantities
from quality_gates.report.charts import confusion_picture, frontier_picture, history_pictures
from quality_gates.report.content import ReportContent
from quality_gates.report.gate_lines import gate_line
from quality_gates.report.gate_rows import OUTCOME_WORDS, WORTHLESS, gate_groups, remedies, tone_of
from quality_gates.report.quantities import MISSING, score_change, score_title, score_writer
from quality_gates.report.tables import comparison_lines, deployed_words, ledger_of, side_rows, slice_lines, turn_lines
from quality_gates.sign_off import CHOICES
from quality_gates.verdict import GateResult, Verdict, worst_first

MAX_FLIPS = 24
MAX_FINDINGS = 8
MAX_TEXT = 400
GAP = 2
_STYLES = {
    "pass": "green",
    "fail": "bold red",
    "inconclusive": "yellow",
    "not_applicable": "dim",
    "overridden": "bold yellow",
    WORTHLESS: "yellow",
}
_SYMBOLS = {"pass": "✓", "fail": "✗", "inconclusive": "?", "not_applicable": MISSING, "overridden": "!", WORTHLESS: "!"}

_WORDS = {**{key: word.lower() for key, word in OUTCOME_WORDS.items()}, "not_applicable": "n/a", WORTHLESS: "worthless"}


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
            measure=score_title(content.scores_are_shares),
            side_rows=side_rows(content.sides, content.scores_are_shares, content.turns),
            turn_lines=turn_lines(content.turns),
            frontier=frontier_picture(content.points, content.size_budget_bytes, content.scores_are_shares),
            frontier_score=score_writer([point.accuracy for point in content.points], content.scores_are_shares),
            slice_lines=slice_lines(content.slices),
            ledger=ledger_of(content.ledger, content.scores_are_shares),
            confusion=confusion_picture(content.confusion, content.flips_against),
            comparison_lines=comparison_lines(content.representativeness),
            max_findings=MAX_FINDINGS,
            history=history_pictures(content.history, content.scores_are_shares),
            flips=content.flips[:MAX_FLIPS],
            max_text=MAX_TEXT,
            foot=_foot(content),
        )
    )


def render_text(content: ReportContent) -> RenderableType:
    """Verdict, decision, reasons, gates, what would have to change, models and ledger; markup in names stays text."""
    outcome = content.verdict.outcome
    parts: list[RenderableType] = [
        Text(f"{content.model} version {content.version} on {content.device}", style="bold"),
        Text(f"{_SYMBOLS[outcome]} {content.verdict.headline}", style=_STYLES[outcome]),
        Text(content.decision),
        *_answers(content),
        *([Text(content.verdict.look.sentence)] if content.verdict.look else []),
        *_approval(content.verdict),
        *_sign_offs(content),
        *(Text(f"Why: {reason}") for reason in content.verdict.reasons),
        _gates_table(content.verdict.gates),
    ]
    parts += [
        Text(f"{gate.name}: {gate.sentence}", style=_STYLES[WORTHLESS])
        for gate in content.verdict.gates
        if tone_of(gate) == WORTHLESS
    ]
    parts += [Text(f"To change, {name}: {remedy}") for name, remedy in remedies(content.verdict.gates)]
    return Group(*parts, *_tables(content))


def _foot(content: ReportContent) -> str:
    """Return what stands below each printed page, as the inside of a string of CSS: run and digest, two lines."""
    run = content.origin.run if content.origin is not None else dict(content.lineage).get("run", "")
    lines = [f"run {run or MISSING}", f"file sha256 {content.verdict.file_sha256 or MISSING}"]
    return r"\A ".join(re.sub(r"[^\w .–-]", "?", line) for line in lines)


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
    for name in ("percent", "score", "score_change", "size", "duration", "figure"):
        environment.filters[name] = getattr(quantities, name)
        environment.globals["outcome_words"] = OUTCOME_WORDS
    environment.globals["choices"] = CHOICES
    return environment


def _answers(content: ReportContent) -> list[Text]:
    if content.is_unproven:
        return [Text(f"{_SYMBOLS['inconclusive']} Not proven: {content.answers}", style=_STYLES["inconclusive"])]
    return [Text(content.answers)] if content.answers else []


def _approval(verdict: Verdict) -> list[Text]:
    approval = verdict.approval
    return [] if approval is None else [Text(f"Approved by {approval.name} on {approval.given}: {approval.reason}")]


def _sign_offs(content: ReportContent) -> list[Text]:
    """Return a line per person who has signed or refused."""
    asked = content.sign_off
    given = () if asked is None else asked.given
    return [
        Text(f"{CHOICES[each.choice]} by {asked.shown(each)} on {each.given:%Y-%m-%d}: {each.reason}")
        for each in given
        if asked is not None
    ]


def _tables(content: ReportContent) -> Iterator[RenderableType]:
    if content.sides:
        roles = [side.role for side in content.sides]
        lines = [
            (row.label, *(cell.value for cell in row.cells))
            for row in side_rows(content.sides, content.scores_are_shares, content.turns)
        ]
        yield _InBlocks(("side by side", *roles), lines)
    shares = content.scores_are_shares
    ledger = ledger_of(content.ledger, shares)
    if ledger is not None:
        headings = ("what each stage cost", *(text for name in ledger.columns for text in (name.lower(), "change")))
        lines = [
            (
                line.row.stage,
                *(text for value, by in line.figures for text in (ledger.write(value), score_change(by, shares))),
            )
            for line in ledger.lines
        ]
        yield _InBlocks(headings, lines, together=2)


@dataclass(frozen=True)
class _InBlocks:
    """A table whose columns go on below, after the first one again, where the terminal is too narrow for all.

    `together` columns are never parted.
    """

    headings: Sequence[str]
    lines: Sequence[Sequence[str]]
    together: int = 1

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield a table for each block of columns that fits."""
        for block in self._blocks(options.max_width):
            columns = [0, *block]
            lines = [[line[at] for at in columns] for line in self.lines]
            yield _plain_table([self.headings[at] for at in columns], lines)

    def _blocks(self, width: int) -> Iterator[list[int]]:
        block: list[int] = []
        for start in range(1, len(self.headings), self.together):
            group = list(range(start, min(start + self.together, len(self.headings))))
            if block and self._width([0, *block, *group]) > width:
                yield block
                block = []
            block += group
        yield block

    def _width(self, columns: Sequence[int]) -> int:
        widths = (max(cell_len(line[at]) for line in (self.headings, *self.lines)) for at in columns)
        return sum(widths) + GAP * (len(columns) - 1)


def _plain_table(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for number, heading in enumerate(headings):
        table.add_column(Text(heading), justify="right" if number else "left", overflow="fold")
    for line in lines:
        table.add_row(*map(Text, line))
    return table


def _gates_table(gates: tuple[GateResult, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("", no_wrap=True)
    table.add_column("gate", overflow="fold", min_width=12)
    for heading in ("result", "bounds", "threshold", "rows"):
        table.add_column(heading, justify="right", no_wrap=True)
    for gate in worst_first(gates):
        table.add_row(*_cells(gate))
    return table


def _cells(gate: GateResult) -> list[Text]:
    tone, line = tone_of(gate), gate_line(gate)
    outcome = Text(f"{_SYMBOLS[tone]} {_WORDS[tone]}", style=_STYLES[tone])
    return [outcome, *(Text(text) for text in (gate.name, line.result, line.bounds, line.threshold, line.rows))]

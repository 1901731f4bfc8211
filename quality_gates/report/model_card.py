"""The model card: one Markdown page on a candidate, for whoever must decide whether it suits their purpose."""

from collections.abc import Iterator, Sequence

from edge_runtime.settings import TensorSpec
from quality_gates.report.content import Origin, ReportContent
from quality_gates.report.gate_lines import gate_line
from quality_gates.report.gate_rows import OUTCOME_WORDS
from quality_gates.report.quantities import MISSING, score_title, score_writer
from quality_gates.report.tables import side_rows, slice_lines
from quality_gates.sign_off import CHOICES
from quality_gates.verdict import GateResult, worst_first

NOT_STATED = "The workload does not state a purpose: its class has no docstring."


def render_model_card(content: ReportContent) -> str:
    """Return the card: decision, purpose, figures, gates, data, slices, limits, origin. Markup in names stays text."""
    title = f"# {_plain(content.model)} version {_plain(content.version)} on {_plain(content.device)}"
    parts = [
        [title, "", *decision_lines(content)],
        ["## Purpose", "", *_purpose(content)],
        ["## Figures", "", *figure_table(content)],
        ["## Gates", "", *gate_table(content.verdict.gates)],
        ["## Data", "", *_data(content)],
        *([["## Slices", "", *_slices(content)]] if content.slices else []),
        ["## Limits", "", *_limits(content)],
        ["## Origin", "", *(f"- {_plain(name)}: {_plain(text)}" for name, text in content.lineage)],
    ]
    return "\n\n".join("\n".join(part).rstrip() for part in parts) + "\n"


def decision_lines(content: ReportContent) -> list[str]:
    """Return the decision in Markdown: verdict, reasons, the CPU that answered, an approval and sign-offs."""
    approval = content.verdict.approval
    lines = [f"**{_plain(content.decision)}** {_plain(content.verdict.headline)}"]
    lines += ["", *(f"- {_plain(reason)}" for reason in content.verdict.reasons)] if content.verdict.reasons else []
    if content.is_unproven:
        lines += ["", f"⚠ **Not proven:** {_plain(content.answers)}"]
    if approval is not None:
        lines += ["", f"Approved by {_plain(approval.name)} until {approval.until}: {_plain(approval.reason)}"]
    return [*lines, *_sign_off_lines(content)]


def _sign_off_lines(content: ReportContent) -> list[str]:
    """Return the state of the sign-off and a line per person; empty where the recipe asks for none."""
    asked = content.sign_off
    if asked is None:
        return []
    lines = ["", f"Sign-off: {asked.count}, until {asked.day}."]
    for each in asked.given:
        lines += [f"- {CHOICES[each.choice]} by {_plain(asked.shown(each))}: {_plain(each.reason)}"]
    return lines


def gate_table(gates: Sequence[GateResult]) -> list[str]:
    """Return a Markdown table with a line per gate, the worst first: outcome, result, bounds, threshold and rows."""
    rows = []
    for gate in worst_first(gates):
        line = gate_line(gate)
        warns = gate.outcome in ("fail", "inconclusive") and not gate.blocking
        word = OUTCOME_WORDS[gate.outcome] + (" (warns only)" if warns else "")
        rows.append((gate.name, word, line.result, line.bounds or MISSING, line.threshold, line.rows))
    return table(("Gate", "Outcome", "Result", "Bounds", "Threshold", "Rows"), rows)


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a Markdown table; a cell is text of one line, whatever is in it."""
    lines = [f"| {' | '.join(map(_cell, row))} |" for row in (headings, *rows)]
    return [lines[0], "|" + " --- |" * len(headings), *lines[1:]]


def _purpose(content: ReportContent) -> Iterator[str]:
    origin = content.origin
    yield _plain(origin.purpose) if origin is not None and origin.purpose else NOT_STATED
    if origin is not None:
        yield from ["", *tensor_table(origin)]


def tensor_table(origin: Origin) -> list[str]:
    """Return a Markdown table of the inputs and outputs; empty where the file could not be read."""
    tensors = [("input", each) for each in origin.inputs] + [("output", each) for each in origin.outputs]
    rows = [(role, tensor.name, tensor.dtype, _shape(tensor)) for role, tensor in tensors]
    return table(("Tensor", "Name", "Type", "Shape"), rows) if rows else []


def data_table(origin: Origin) -> list[str]:
    """Return a Markdown table of the splits: their rows and digests."""
    splits = [(each.name, f"{each.rows:,}", each.sha256) for each in origin.splits]
    return table(("Split", "Rows", "sha256"), splits) if splits else []


def _shape(tensor: TensorSpec) -> str:
    return " x ".join("rows" if size is None and not at else str(size or "any") for at, size in enumerate(tensor.shape))


def figure_table(content: ReportContent) -> list[str]:
    """Return a Markdown table of the models side by side: scores, slices and resources."""
    rows = side_rows(content.sides, content.scores_are_shares, content.turns)
    if not rows or not content.sides:
        return ["Nothing was measured."]
    lines = [(row.label, *(cell.value for cell in row.cells)) for row in rows]
    return table(("", *(side.role for side in content.sides)), lines)


def _data(content: ReportContent) -> Iterator[str]:
    if content.origin is not None:
        yield from [*data_table(content.origin), ""]
    yield "The test rows decided once; the search has not seen them."
    compared = content.representativeness
    yield "" if compared is None else _compared(len(compared.findings), len(compared.comparisons))


def _compared(differing: int, comparisons: int) -> str:
    return f"Compared with a sample of the deployment sites: {differing} of {comparisons} comparisons differ."


def _slices(content: ReportContent) -> list[str]:
    rows = [line.row for line in slice_lines(content.slices)]
    write = score_writer([row.candidate for row in rows], content.scores_are_shares)
    lines = [
        (row.slice + (" (critical)" if row.critical else ""), f"{row.n:,}", *map(write, (row.candidate, row.parent)))
        for row in rows
    ]
    measure = score_title(content.scores_are_shares)
    return table(("Slice", "Rows", f"{measure}, candidate", f"{measure}, parent"), lines)


def _limits(content: ReportContent) -> Iterator[str]:
    """Yield what was not shown: undecided and inapplicable gates, the CPU that answered, and single slices."""
    if content.is_unproven:
        yield f"- {_plain(content.answers)}"
    for gate in content.verdict.gates:
        if gate.outcome in ("inconclusive", "not_applicable"):
            yield f"- {_plain(gate.sentence)}"
    if content.slices:
        yield "- Differences in the table of slices are not tested; only gates are."
    yield "- Nothing is claimed for rows that differ from the test rows."


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|") or " "


def _plain(text: str) -> str:
    """Return text on one line in which no markup counts."""
    line = " ".join(text.split())
    return "".join(f"\\{letter}" if letter in "\\`*[]<>#" else letter for letter in line)

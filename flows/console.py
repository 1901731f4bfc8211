"""The terminal: progress of long runs, and tables of outcomes, history and the frontier."""

import logging
from collections.abc import Callable, Sequence
from typing import TypeAlias

from rich.console import Console
from rich.highlighter import NullHighlighter
from rich.logging import RichHandler
from rich.text import Text

from flows.environment import quiet_libraries
from flows.reports import runs_of
from flows.terminal_tables import Column, Row, TerminalTable
from quality_gates.report import HistoryRow, ReportContent, SizePoint, figure, score_title, score_writer, size
from tasks.errors import RegistryError
from tasks.outcomes import DeviceOutcome, Outcome, history
from tasks.registry import EdgeModels

_DECISIONS = {
    "published": "green",
    "approved": "yellow",
    "waits for sign-off": "cyan",
    "refused": "red",
    "undecided": "yellow",
}
_TIME = "%H:%M:%S"
Write: TypeAlias = Callable[[float], str]


def show_progress(console: Console, level: int = logging.INFO) -> None:
    """Show the pipeline's own log lines, and only warnings of the libraries below it.

    On a terminal a long line is folded beside its time; in a file or a pipe each is one line, whatever its length.
    """
    handler = _on_a_terminal(console) if console.is_terminal else _in_a_file(console)
    logger = logging.getLogger("edgewright")
    logger.handlers = [handler]
    logger.setLevel(level)
    logger.propagate = False
    quiet_libraries()


def _on_a_terminal(console: Console) -> logging.Handler:
    return RichHandler(
        console=console,
        show_path=False,
        show_level=False,
        omit_repeated_times=False,
        log_time_format=_TIME,
        highlighter=NullHighlighter(),
    )


def _in_a_file(console: Console) -> logging.Handler:
    handler = logging.StreamHandler(console.file)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", _TIME))
    return handler


def outcome_table(outcomes: Sequence[Outcome]) -> TerminalTable:
    """Return a table with one line per version and device; figures are the parent's and the candidate's."""
    lines = [device for outcome in outcomes for device in outcome.devices]
    columns = (
        Column(""),
        Column("device"),
        Column("decision"),
        Column(_title(all(line.scores_are_shares for line in lines))),
        Column("critical"),
        Column("kB", right=True, spare=1),
        Column("p50 us", right=True, spare=2),
    )
    models = {line.model for line in lines}
    writers = {model: _writer_of([line for line in lines if line.model == model]) for model in models}
    rows = [Row(_outcome_cells(line, writers[line.model])) for line in lines]
    return TerminalTable("What came of each version (parent > candidate)", columns, rows)


def _title(shares: bool) -> str:
    return score_title(shares).lower()


def _writer_of(lines: Sequence[DeviceOutcome]) -> Write:
    """Return the writer of one model's scores, all of them with the same decimals."""
    if all(line.scores_are_shares for line in lines):
        return "{:.3f}".format
    shown = [figure for line in lines for figure in (line.accuracy, line.critical_slice) if figure is not None]
    return score_writer([value for each in shown for value in (each.parent, each.candidate)], shares=False)


def _outcome_cells(device: DeviceOutcome, write: Write) -> tuple[str | Text, ...]:
    critical = device.critical_slice
    return (
        f"v{device.version}",
        device.device,
        _decision(device.decision),
        _both(device.accuracy.parent, device.accuracy.candidate, write),
        _both(critical.parent, critical.candidate, write) if critical else "",
        _both(*_of_two(device, "size_bytes"), lambda value: f"{value / 1000:.0f}"),
        _both(*_of_two(device, "latency_p50_ms"), lambda value: f"{value * 1000:.0f}"),
    )


def _decision(word: str) -> Text:
    """Return the decision about a version in its colour."""
    return Text(word, style=_DECISIONS[word])


def _of_two(device: DeviceOutcome, resource: str) -> tuple[float | None, float | None]:
    parent, candidate = device.figures.parent, device.figures.candidate
    return (
        None if parent is None else parent.value(resource),
        None if candidate is None else candidate.value(resource),
    )


def _both(parent: float | None, candidate: float | None, write: Write) -> str:
    before, after = ("-" if value is None else write(value) for value in (parent, candidate))
    return f"{before} > {after}"


def history_table(model: str, device: str | None) -> TerminalTable:
    """Return a table with a line per answer and device, the earliest first; RegistryError where there is none."""
    runs = runs_of(model)
    lines = list(history(runs, EdgeModels(runs.client.tracking_uri, model), device))
    if not lines:
        raise RegistryError(
            f"model {model}: expected versions that have an answer{f' on {device}' if device else ''}, got none; run "
            "edgewright compress or reconcile, and check MLFLOW_TRACKING_URI and EDGEWRIGHT_HOME"
        )
    return table_of_history(model, lines)


def table_of_history(model: str, lines: Sequence[tuple[str, HistoryRow]]) -> TerminalTable:
    """Return the history's table of (device, answer)."""
    rows = [row for _, row in lines]
    columns = (
        Column("when (UTC)", spare=4),
        Column("version"),
        Column("device"),
        Column("decision"),
        Column("release", right=True),
        Column("now"),
        Column(_title(all(row.scores_are_shares for row in rows)), right=True),
        Column("critical", right=True, spare=1),
        Column("size", right=True, spare=2),
        Column("p50", right=True, spare=3),
    )
    errors = [value for row in rows if not row.scores_are_shares for value in (row.accuracy, row.critical)]
    writers = {True: score_writer((), shares=True), False: score_writer(errors, shares=False)}
    shown = [Row(_history_cells(name, row, writers[row.scores_are_shares]), _why(row)) for name, row in lines]
    return TerminalTable(f"What came of the versions of {model}", columns, shown, noted="why")


def _history_cells(device: str, row: HistoryRow, write: Callable[[float | None], str]) -> tuple[str | Text, ...]:
    return (
        row.when,
        row.version,
        device,
        _decision(row.decision),
        "" if row.release is None else str(row.release),
        row.now,
        write(row.accuracy),
        write(row.critical),
        figure(row.figures, "size_bytes"),
        figure(row.figures, "latency_p50_ms"),
    )


def _why(row: HistoryRow) -> str:
    return "" if row.published and not (row.overridden or row.signed_off) else row.why


def frontier_table(content: ReportContent) -> TerminalTable:
    """Return a table of the models of a search on one device, the smallest first; accuracy is on validation."""
    columns = (
        Column("model"),
        Column(_title(content.scores_are_shares), right=True),
        Column("size", right=True),
        Column("p50", right=True),
        Column("peak RSS", right=True, spare=3),
        Column("gates hold", spare=1),
        Column("pareto", spare=2),
    )
    write = score_writer([point.accuracy for point in content.points], content.scores_are_shares)
    points = sorted(content.points, key=lambda point: point.size_bytes or 0.0)
    rows = [Row(_point_cells(point, write), point.note, "bold" if point.chosen else "") for point in points]
    return TerminalTable(f"{content.model} version {content.version} on {content.device}", columns, rows)


def _point_cells(point: SizePoint, write: Callable[[float | None], str]) -> tuple[str, ...]:
    label = f"{point.label} (chosen)" if point.chosen else point.label
    resources = figure(point.figures, "latency_p50_ms"), figure(point.figures, "peak_rss_mb")
    holds = "" if point.holds is None else "yes" if point.holds else "no"
    pareto = "yes" if point.pareto else "no" if point.kind == "rung" else ""
    return label, write(point.accuracy), size(point.size_bytes), *resources, holds, pareto

"""The terminal: progress of long runs, and tables of outcomes, history, the frontier and emulators."""

import logging
import platform
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.highlighter import NullHighlighter
from rich.logging import RichHandler
from rich.table import Table
from rich.text import Text

from deployments.instruction_sets import CPUS
from flows.environment import quiet_libraries
from flows.reports import runs_of
from quality_gates.report import HistoryRow, ReportContent, SizePoint, figure, score, size
from tasks.emulation import DEBIAN, find_emulator, instruction_set_here, prepare_root, read_root
from tasks.errors import EmulatorMissing, RegistryError
from tasks.registry import EdgeModels
from tasks.reporting import DeviceOutcome, Outcome, history

_VERDICTS = {"published": "[green]published[/]", "refused": "[red]refused[/]", "undecided": "[yellow]undecided[/]"}
COLUMNS = ("accuracy", "size", "p50", "peak RSS")


def show_progress(console: Console, level: int = logging.INFO) -> None:
    """Show the pipeline's own log lines, and only warnings of the libraries below it."""
    handler = RichHandler(
        console=console,
        show_path=False,
        show_level=False,
        omit_repeated_times=False,
        log_time_format="%H:%M:%S",
        highlighter=NullHighlighter(),
    )
    logger = logging.getLogger("edgewright")
    logger.handlers = [handler]
    logger.setLevel(level)
    logger.propagate = False
    quiet_libraries()


def outcome_table(outcomes: Sequence[Outcome]) -> Table:
    """Return a table with one line per version and device; figures are the parent's and the candidate's."""
    table = Table(title="What came of each version (parent > candidate)", title_justify="left", box=None)
    for column in ("", "device", "verdict", "accuracy", "critical", "kB", "p50 us"):
        table.add_column(column, no_wrap=True, justify="right" if column in {"kB", "p50 us"} else "left")
    for outcome in outcomes:
        for device in outcome.devices:
            table.add_row(*_outcome_cells(device))
    return table


def _outcome_cells(device: DeviceOutcome) -> tuple[str, ...]:
    critical = device.critical_slice
    return (
        f"v{device.version}",
        device.device,
        _VERDICTS[device.answer],
        _both(device.accuracy.parent, device.accuracy.candidate, "{:.3f}"),
        _both(critical.parent, critical.candidate, "{:.3f}") if critical else "",
        _both(*_of_two(device, "size_bytes"), "{:.0f}", 1 / 1000),
        _both(*_of_two(device, "latency_p50_ms"), "{:.0f}", 1000),
    )


def _of_two(device: DeviceOutcome, resource: str) -> tuple[float | None, float | None]:
    parent, candidate = device.figures.parent, device.figures.candidate
    return (
        None if parent is None else parent.value(resource),
        None if candidate is None else candidate.value(resource),
    )


def _both(parent: float | None, candidate: float | None, form: str, scale: float = 1) -> str:
    def text(value: float | None) -> str:
        return "-" if value is None else form.format(value * scale)

    return f"{text(parent)} > {text(candidate)}"


def history_table(model: str, device: str | None) -> Table:
    """Return a table with a line per answer and device, the earliest first; RegistryError where there is none."""
    runs = runs_of(model)
    table = Table(title=f"What came of the versions of {model}", title_justify="left", box=None)
    for column in ("when (UTC)", "version", "device", "decision", "now", "accuracy", "critical", "size", "p50"):
        table.add_column(column, no_wrap=True)
    table.add_column("why", overflow="fold")
    for name, row in history(runs, EdgeModels(runs.client.tracking_uri, model), device):
        decision = "[green]published[/]" if row.published else "[red]refused[/]"
        decision = "[yellow]approved[/]" if row.overridden else decision
        figures = (score(row.accuracy, row.scores_are_shares), score(row.critical, row.scores_are_shares))
        resources = (figure(row.figures, "size_bytes"), figure(row.figures, "latency_p50_ms"))
        table.add_row(row.when, row.version, name, decision, row.now, *figures, *resources, _why(row))
    if not table.row_count:
        raise RegistryError(
            f"model {model}: expected versions that have an answer{f' on {device}' if device else ''}, got none; run "
            "edgewright compress or reconcile, and check MLFLOW_TRACKING_URI and EDGEWRIGHT_HOME"
        )
    return table


def _why(row: HistoryRow) -> Text:
    return Text("" if row.published and not row.overridden else row.why)


def frontier_table(content: ReportContent) -> Table:
    """Return a table of the models of a search on one device, the smallest first; accuracy is on validation."""
    title = f"{content.model} version {content.version} on {content.device}"
    table = Table(title=title, title_justify="left", box=None)
    table.add_column("model", overflow="fold")
    for column in COLUMNS:
        table.add_column(column, justify="right", no_wrap=True)
    for column in ("gates hold", "pareto"):
        table.add_column(column)
    table.add_column("note", overflow="fold")
    for point in sorted(content.points, key=lambda point: point.size_bytes or 0.0):
        table.add_row(*_point_cells(point, content.scores_are_shares), style="bold" if point.chosen else None)
    return table


def _point_cells(point: SizePoint, shares: bool) -> list[Text]:
    label = f"{point.label} (chosen)" if point.chosen else point.label
    figures = score(point.accuracy, shares), size(point.size_bytes)
    resources = figure(point.figures, "latency_p50_ms"), figure(point.figures, "peak_rss_mb")
    holds = "" if point.holds is None else "yes" if point.holds else "no"
    pareto = "yes" if point.pareto else "no" if point.kind == "rung" else ""
    return [Text(cell) for cell in (label, *figures, *resources, holds, pareto, point.note)]


def emulators_table(home: Path) -> Table:
    """Return a table of the CPUs that device profiles may name, and whether each can be emulated here."""
    title = f"This machine: {instruction_set_here() or 'of a class that no profile names'}"
    table = Table("cpu", "instructions", "emulated here", title=title, title_justify="left")
    for cpu in CPUS.values():
        try:
            find_emulator(cpu, home)
            state = "yes"
        except EmulatorMissing as missing:
            state = f"no: {missing}"
        table.add_row(cpu.name, cpu.instruction_set, state)
    return table


def prepare_emulators(home: Path, console: Console) -> None:
    """Prepare the Python of every machine that is not this one, where it is not there yet. Raises EmulatorError."""
    for machine in DEBIAN:
        if machine == platform.machine():
            continue
        try:
            root = read_root(home, machine)
        except EmulatorMissing:
            console.print(f"Fetching Python, numpy and ONNX Runtime for {machine} (190 MB unpacked) ...")
            root = prepare_root(home, machine)
        console.print(f"{machine}: {root.folder}")

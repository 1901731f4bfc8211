"""What people see on a terminal."""

import logging
from collections.abc import Sequence

from rich.console import Console
from rich.highlighter import NullHighlighter
from rich.logging import RichHandler
from rich.table import Table

from flows.environment import quiet_libraries
from tasks.reporting import DeviceOutcome, Outcome


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
    """One line per version and device; figures are the parent's and the candidate's."""
    table = Table(title="What came of each version (parent > candidate)", title_justify="left", box=None)
    for column in ("", "device", "verdict", "accuracy", "critical", "KB", "p50 us"):
        table.add_column(column, no_wrap=True, justify="right" if column in {"KB", "p50 us"} else "left")
    for outcome in outcomes:
        for device in outcome.devices:
            table.add_row(*_cells(device))
    return table


def _cells(device: DeviceOutcome) -> tuple[str, ...]:
    critical = device.critical_slice
    return (
        f"v{device.version}",
        device.device,
        "[green]published[/]" if device.published else "[red]refused[/]",
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

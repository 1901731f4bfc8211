"""Progress of a training: a bar on a terminal, and advances for whoever shows the run to people."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tasks.progress.advances import Advance, tell

if TYPE_CHECKING:  # who only hears advances needs no torch
    from model_compression.training import Progress as Report


@contextmanager
def steps(description: str) -> "Iterator[Report]":
    """Yield a callback for training steps that moves a bar with the current loss, and tells them as advances."""
    columns = (
        TextColumn("  {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.3f}{task.fields[score]}"),
        TimeRemainingColumn(),
    )
    console = Console(file=sys.stderr)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(description, total=None, loss=0.0, score="")

        def report(step: int, total: int, loss: float, score: float | None) -> None:
            seen = "" if score is None else f", validation {score:.3f}"
            progress.update(bar, completed=step, total=total, loss=loss, score=seen)
            tell(Advance("training", step, total, f"{description}: step {step:,} of {total:,}, loss {loss:.3f}{seen}"))

        yield report

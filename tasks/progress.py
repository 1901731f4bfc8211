"""Progress of long steps: a bar on a terminal, nothing but log lines elsewhere."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from model_compression.training import Progress as Report


@contextmanager
def steps(description: str) -> Iterator[Report]:
    """Yield a callback for training steps that moves a bar with the current loss."""
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

        yield report

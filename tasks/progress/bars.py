"""Progress of a training: a bar on a terminal, lines with the time that is left, and advances for who shows a run."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tasks.progress.advances import Advance, tell

if TYPE_CHECKING:  # who only hears advances needs no torch
    from model_compression.training import Progress as Report

logger = logging.getLogger("edgewright")
FIRST_LINE_S, NEXT_LINE_S = 5.0, 60.0
"""Seconds after which the time that is left is logged: once it can be told, and then again where no bar shows it."""


@contextmanager
def steps(description: str, clock: Callable[[], float] = time.monotonic) -> "Iterator[Report]":
    """Yield a callback for training steps that moves a bar with the current loss, and tells them as advances.

    A log gets a line with the time that is left after some seconds, and where there is no bar one each minute.
    """
    columns = (
        TextColumn("  {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.3f}{task.fields[score]}"),
        TimeRemainingColumn(),
    )
    console = Console(file=sys.stderr)
    left = _TimeLeft(description, clock, again=not console.is_terminal)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(description, total=None, loss=0.0, score="")

        def report(step: int, total: int, loss: float, score: float | None) -> None:
            seen = "" if score is None else f", validation {score:.3f}"
            progress.update(bar, completed=step, total=total, loss=loss, score=seen)
            left.seen(step, total, f"loss {loss:.3f}{seen}")
            tell(Advance("training", step, total, f"{description}: step {step:,} of {total:,}, loss {loss:.3f}{seen}"))

        yield report


class _TimeLeft:
    """Lines of a log with the time that a training still takes, by the steps that it has done."""

    def __init__(self, description: str, clock: Callable[[], float], *, again: bool) -> None:
        self.description, self.clock, self.again = description, clock, again
        self.began, self.next = clock(), FIRST_LINE_S

    def seen(self, step: int, total: int, figures: str) -> None:
        """Log a line where one is due."""
        took = self.clock() - self.began
        if took < self.next or not 0 < step < total:
            return
        self.next = took + NEXT_LINE_S if self.again else float("inf")
        rest = took / step * (total - step)
        words = f"{rest:.0f} s" if rest < 90 else f"{rest / 60:.0f} min"
        logger.info("%s: step %s of %s, about %s left, %s", self.description, f"{step:,}", f"{total:,}", words, figures)

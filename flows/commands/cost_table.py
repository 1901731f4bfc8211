"""The cost of a run at most, as `edgewright compress --dry-run` prints it."""

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from flows.terminal_tables import Column, Row, TerminalTable

if TYPE_CHECKING:  # it loads torch, and prepare() sets the environment before
    from tasks.compression import CostEstimate


def print_cost(console: Console, model: str, version: str, recipe: Path) -> None:
    """Print the estimate of a run, from training steps and a batch that are measured now; nothing is recorded.

    Raises what the checks before a run raise.
    """
    from tasks.compression import estimate_cost
    from tasks.upstream import preflight, resolve
    from tasks.workspace import Workspace

    job = preflight.fn(model, version, recipe, Workspace.from_environment())
    found = estimate_cost(job, resolve.fn(job))
    console.print(cost_table(f"{model} version {version}: the work of a run at most", found))
    for sentence in cost_sentences(found):
        console.print(escape(sentence), soft_wrap=True, highlight=False)


def cost_table(title: str, found: "CostEstimate") -> TerminalTable:
    """Return a table with a line for each kind of work."""
    from tasks.store import duration

    counts = Column("times", right=True), Column("each", right=True, spare=1), Column("all", right=True)
    lines = [Row((line.what, f"{line.times:,}", duration(line.seconds), duration(line.total))) for line in found.lines]
    return TerminalTable(title, (Column("work"), *counts), lines)


def cost_sentences(found: "CostEstimate") -> list[str]:
    """Say the time, the memory and the disk, what they rest on, and where the disk has no room."""
    from tasks.store import duration

    step = "nothing is trained" if found.step_s is None else f"a training step takes {found.step_s * 1000:.3g} ms"
    said = [
        f"At most about {duration(found.seconds)}; less where budgets hold early, and nothing for what was computed "
        "before.",
        f"Measured now: {step}, a row {found.row_s * 1000:.3g} ms among others, {found.alone_s * 1000:.3g} ms alone.",
        f"Memory: about {found.memory_mb:,.0f} MiB. Disk: up to {found.disk_mb:,.0f} of {found.free_mb:,.0f} MiB free.",
    ]
    if found.disk_mb > found.free_mb:
        said.append("That does not fit: free some space, or set EDGEWRIGHT_HOME to a folder on another disk.")
    return said

"""The record of a benchmark: figures against their goals, as JSON for machines and as a table for people."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Figure:
    """One measured figure and its goal: `at_most` or `at_least` it."""

    figure: str
    value: float
    goal: float
    unit: str
    bound: Literal["at_most", "at_least"]

    @property
    def holds(self) -> bool:
        """True if the value reaches the goal; NaN never does."""
        return self.value <= self.goal if self.bound == "at_most" else self.value >= self.goal


def record(name: str, command: str, figures: Sequence[Figure], notes: str = "", root: Path = ROOT) -> str:
    """Write `.edgewright/bench/NAME.json` and `tests/benchmarks/NAME.md`; returns the table."""
    folder = root / ".edgewright" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {key: value for key, value in asdict(figure).items() if key != "bound"} | {"holds": figure.holds}
        for figure in figures
    ]
    (folder / f"{name}.json").write_text(json.dumps(rows, indent=2) + "\n")
    lines = [
        f"# {name}",
        "",
        f"Made by `{command}`.",
        "",
        "| figure | value | goal | holds |",
        "| --- | --- | --- | --- |",
    ]
    for figure in figures:
        goal = f"{'at most' if figure.bound == 'at_most' else 'at least'} {figure.goal:g} {figure.unit}".strip()
        value = f"{figure.value:.4g} {figure.unit}".strip()
        lines.append(f"| {figure.figure} | {value} | {goal} | {'yes' if figure.holds else '**no**'} |")
    table = "\n".join([*lines, "", *([notes, ""] if notes else [])])
    (root / "tests" / "benchmarks" / f"{name}.md").write_text(table)
    return table

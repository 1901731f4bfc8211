"""Benchmarks in parts: each is measured alone or with the others, and the table shows the last values of all.

A part that was never measured is NaN and holds nothing.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

from rich.console import Console
from rich.markdown import Markdown

from tests.benchmarks.record import ROOT, Figure, record

Part: TypeAlias = Callable[[Path], tuple[list[Figure], str]]
"""A measurement in an empty folder: its figures, and a table that is shown below them, or nothing."""


def without_table(measure: Callable[[Path], list[Figure]]) -> Part:
    """Return the part of a measurement that has figures alone."""
    return lambda root: (measure(root), "")


def measure_parts(bench: str, parts: Mapping[str, Part], notes: str, names: Sequence[str]) -> None:
    """Measure the named parts of a benchmark, or all, and record its table; other names end the program."""
    if unknown := sorted(set(names) - set(parts)):
        sys.exit(f"expected names of {', '.join(parts)}, got {', '.join(unknown)}")
    cache = ROOT / ".edgewright" / "bench" / bench
    cache.mkdir(parents=True, exist_ok=True)
    for name in names or parts:
        load = os.getloadavg()[0]
        with tempfile.TemporaryDirectory(prefix=f"edgewright-{bench}-") as folder:
            found, table = parts[name](Path(folder))
        when = f"{datetime.now(UTC):%Y-%m-%d %H:%M}"
        said = {"figures": [asdict(figure) for figure in found], "table": table, "load": load, "when": when}
        (cache / f"{name}.json").write_text(json.dumps(said))
    figures, lines = list[Figure](), [notes.replace("\n", " ")]
    for path in (cache / f"{name}.json" for name in parts):
        if path.exists():
            said = json.loads(path.read_text())
            figures += [Figure(**figure) for figure in said["figures"]]
            lines += [f"{path.stem}: measured on {said['when']} UTC, with a load of {said['load']:.1f} on "
                      f"{os.cpu_count()} cores before it began.", said["table"]]  # fmt: skip
        else:
            figures.append(Figure(f"{path.stem}: not measured", float("nan"), 0, "", "at_most"))
    table = record(bench, f"make bench-{bench}", figures, "\n\n".join(filter(None, lines)))
    Console().print(Markdown(table))

"""`make bench-triggers`: how soon a version is at work, bursts, the cost of orchestration, `plan`, and kills.

`python -m tests.benchmarks.triggers NAME ...` measures some parts alone. The table shows the last measured values of
all; one that was never measured is NaN and holds nothing.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from tests.benchmarks.record import ROOT, Figure, record
from tests.benchmarks.triggers import burst, commands, delays, kills, overhead, plans

CACHE = ROOT / ".edgewright" / "bench" / "triggers"
console = Console()


def _kills(root: Path) -> tuple[list[Figure], str]:
    found = kills.killed(root)
    return kills.figures(found), kills.table(found)


def _without_table(measure: Callable[[Path], list[Figure]]) -> Callable[[Path], tuple[list[Figure], str]]:
    return lambda root: (measure(root), "")


PARTS: dict[str, Callable[[Path], tuple[list[Figure], str]]] = {
    "commands": _without_table(commands.figures),
    "latency": _without_table(delays.figures),
    "burst": _without_table(burst.figures),
    "overhead": _without_table(overhead.figures),
    "plan": _without_table(plans.figures),
    "kills": _kills,
}

NOTES = """latency: a version of the tiny recipe is registered on an MLflow server, beside a Prefect server, a worker
and a watcher; the times are those of Prefect's states, and the run is cancelled after its preflight. commands: the
median of 5 starts. burst: no worker is there while 100 versions are registered one after the other, with webhooks.
overhead: the demo's first version, from the first to the last line that the pipeline logs. plan: a registry with 1,000
pairs of a model and a device. kills: `edgewright up` on an empty home; all processes get SIGKILL at the moment at which
a stage is seen to have begun, and `edgewright up` is called at once."""


def main(names: Sequence[str]) -> None:
    """Measure the named parts, or all, and record the table."""
    if unknown := sorted(set(names) - set(PARTS)):
        sys.exit(f"expected names of {', '.join(PARTS)}, got {', '.join(unknown)}")
    CACHE.mkdir(parents=True, exist_ok=True)
    for name in names or PARTS:
        load = os.getloadavg()[0]
        with tempfile.TemporaryDirectory(prefix="edgewright-triggers-") as folder:
            found, table = PARTS[name](Path(folder))
        when = f"{datetime.now(UTC):%Y-%m-%d %H:%M}"
        said = {"figures": [asdict(figure) for figure in found], "table": table, "load": load, "when": when}
        (CACHE / f"{name}.json").write_text(json.dumps(said))
    figures, notes = list[Figure](), [NOTES.replace("\n", " ")]
    for path in (CACHE / f"{name}.json" for name in PARTS):
        if path.exists():
            said = json.loads(path.read_text())
            figures += [Figure(**figure) for figure in said["figures"]]
            notes += [f"{path.stem}: measured on {said['when']} UTC, with a load of {said['load']:.1f} on "
                      f"{os.cpu_count()} cores before it began.", said["table"]]  # fmt: skip
        else:
            figures.append(Figure(f"{path.stem}: not measured", float("nan"), 0, "", "at_most"))
    console.print(Markdown(record("triggers", "make bench-triggers", figures, "\n\n".join(filter(None, notes)))))


if __name__ == "__main__":
    main(sys.argv[1:])

"""`make bench-triggers`: how soon a version is at work, bursts, the cost of orchestration, `plan`, and kills.

`python -m tests.benchmarks.triggers NAME ...` measures some parts alone.
"""

import sys
from pathlib import Path

from tests.benchmarks.parts import Part, measure_parts, without_table
from tests.benchmarks.record import Figure
from tests.benchmarks.triggers import burst, commands, delays, kills, overhead, plans


def _kills(root: Path) -> tuple[list[Figure], str]:
    found = kills.killed(root)
    return kills.figures(found), kills.table(found)


PARTS: dict[str, Part] = {
    "commands": without_table(commands.figures),
    "latency": without_table(delays.figures),
    "burst": without_table(burst.figures),
    "overhead": without_table(overhead.figures),
    "plan": without_table(plans.figures),
    "kills": _kills,
}

NOTES = """latency: a version of the tiny recipe is registered on an MLflow server, beside a Prefect server, a worker
and a watcher; the times are those of Prefect's states, and the run is cancelled after its preflight. commands: the
median of 5 starts. burst: no worker is there while 100 versions are registered one after the other, with webhooks.
overhead: the demo's first version, from the first to the last line that the pipeline logs. plan: a registry with 1,000
pairs of a model and a device. kills: `edgewright up` on an empty home; all processes get SIGKILL at the moment at which
a stage is seen to have begun, and `edgewright up` is called at once."""


if __name__ == "__main__":
    measure_parts("triggers", PARTS, NOTES, sys.argv[1:])

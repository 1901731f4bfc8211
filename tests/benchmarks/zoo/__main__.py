"""`make bench-zoo`: many architectures through the pipeline's steps, beside torch-pruning and `quantize_static` alone.

Each architecture is a process of its own, with a limit of time and memory, and keeps what it found under a digest of
the code: a run that was stopped goes on where it was.

    python -m tests.benchmarks.zoo --list
    python -m tests.benchmarks.zoo --only vit gru
    python -m tests.benchmarks.zoo --table
"""

import argparse

from tests.benchmarks.zoo.models import ENTRIES
from tests.benchmarks.zoo.running import PASSES, measure_rows
from tests.benchmarks.zoo.table import write_table


def main() -> None:
    """Measure what is not known yet, and write the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.zoo")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=sorted(ENTRIES), help="architectures to measure")
    parser.add_argument("--list", action="store_true", help="name the architectures, and measure nothing")
    parser.add_argument("--table", action="store_true", help="write the table of what is kept, and measure nothing")
    parser.add_argument("--again", action="store_true", help="measure also what is known")
    parser.add_argument("--passes", nargs="+", choices=PASSES, default=PASSES, help="what to measure; times need quiet")
    asked = parser.parse_args()
    if asked.list:
        for entry in ENTRIES.values():
            print(f"{entry.name:20} {entry.source:14} {entry.data}")  # noqa: T201 - what is asked for
        return
    if not asked.table:
        measure_rows(asked.only or list(ENTRIES), again=asked.again, passes=asked.passes)
    write_table()


if __name__ == "__main__":
    main()

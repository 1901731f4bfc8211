"""The flow without Prefect's decorators, in this process: `python -m ... HOME VERSION`.

Prints the lines that it logs, each with its time, as JSON.
"""

import json
import logging
import sys
from pathlib import Path

from tests.end_to_end.without_prefect import remove_decorators

remove_decorators()

import flows.compress  # noqa: E402
from tasks.workspace import Workspace  # noqa: E402
from tests.benchmarks.triggers.demo_versions import MODEL, RECIPE  # noqa: E402


class Lines(logging.Handler):
    """The records' times and messages."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[tuple[float, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.lines.append((record.created, record.getMessage()))


def main(home: Path, version: str) -> None:
    """Compress a version and print what it logged."""
    kept, logger = Lines(), logging.getLogger("edgewright")
    logger.addHandler(kept)
    logger.setLevel(logging.INFO)
    flows.compress.compress(MODEL, version, RECIPE, Workspace.at(home))
    sys.stdout.write(f"{json.dumps(kept.lines)}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])

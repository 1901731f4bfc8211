"""The flow without Prefect's decorators, in this process: `python -m ... HOME VERSION`.

Prints the seconds between the first and the last line that it logs.
"""

import logging
import sys
from pathlib import Path

from tests.end_to_end.without_prefect import remove_decorators

remove_decorators()

import flows.compress  # noqa: E402
from tasks.workspace import Workspace  # noqa: E402
from tests.benchmarks.triggers.demo_versions import MODEL, RECIPE  # noqa: E402


class Span(logging.Handler):
    """The times of the first and the last record."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.times: list[float] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the time of a record."""
        self.times.append(record.created)


def main(home: Path, version: str) -> None:
    """Compress a version and print what it took."""
    span, logger = Span(), logging.getLogger("edgewright")
    logger.addHandler(span)
    logger.setLevel(logging.INFO)
    flows.compress.compress(MODEL, version, RECIPE, Workspace.at(home))
    sys.stdout.write(f"{span.times[-1] - span.times[0]}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])

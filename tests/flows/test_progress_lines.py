"""Log lines of a run: folded on a terminal, one line each in a file."""

import io
import logging
from collections.abc import Iterator

import pytest
from rich.console import Console

from flows.console import show_progress

LONG = "camera: " + "a sentence that is longer than a terminal is wide " * 4


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    logger = logging.getLogger("edgewright")
    before = logger.handlers, logger.level, logger.propagate
    yield
    logger.handlers, logger.propagate = before[0], before[2]
    logger.setLevel(before[1])


@pytest.mark.parametrize(("terminal", "lines"), [(False, 1), (True, 3)])
def test_a_long_line_is_folded_on_a_terminal_alone(terminal: bool, lines: int) -> None:
    file = io.StringIO()
    show_progress(Console(file=file, width=80, force_terminal=terminal, color_system=None))
    logging.getLogger("edgewright.stages").info(LONG)
    written = file.getvalue().splitlines()
    assert len(written) == lines and "camera: a sentence" in written[0]
    assert all(len(line) <= 80 for line in written) == terminal

"""The log of a flow run as its page in Prefect shows it: the pipeline's own lines, and sentences for errors."""

import logging

from edge_runtime.errors import EdgewrightError

PAGES = ("prefect.flow_runs", "prefect.task_runs")
"""Loggers of Prefect whose lines are on the pages of runs."""


def show_own_lines() -> None:
    """Log the pipeline's lines from INFO on, and its errors without their traceback, from here on in this process."""
    own = logging.getLogger("edgewright")
    if not own.level:  # by a level of the root, lines of every library would be logged, such as each HTTP request
        own.setLevel(logging.INFO)
    for name in PAGES:
        logging.getLogger(name).addFilter(_without_traceback)


def _without_traceback(record: logging.LogRecord) -> bool:
    """Take the traceback off a line about an EdgewrightError, which says all in its sentence; keep every line.

    Prefect writes it into the worker's log once more, where those look who want it.
    """
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, EdgewrightError):
        record.exc_info = record.exc_text = None
    return True

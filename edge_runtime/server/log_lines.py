"""Structured logs: one JSON object a line, without anything that a request held."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

QUIET = ("uvicorn", "asyncio")
"""Loggers whose warnings a client can cause as often as it likes."""


class LogLines(logging.Formatter):
    """A formatter that makes a JSON object of a record; the record's `told`, a dict, is part of the object."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record, without a newline at its end."""
        line: dict[str, Any] = {
            "time": f"{datetime.fromtimestamp(record.created, UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "told", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def log_as_lines(*, verbose: bool) -> None:
    """Let every logger of the process write lines to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LogLines())
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)

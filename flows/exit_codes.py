"""Endings of a command: its exit code, its one sentence, and the log that keeps a traceback off the terminal."""

import os
import traceback
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edge_runtime.errors import EdgewrightError
from tasks.errors import SystemFailure, one_line, says_nothing, without_secrets

if TYPE_CHECKING:  # it loads MLflow, which reads the environment, which prepare() sets
    from tasks.outcomes import Outcome

PUBLISHED, REFUSED, WRONG, FAILED = range(4)
"""The exit codes: published; a gate refused; recipe, workload or model is wrong; the system around it failed."""
KEPT_LOGS = 20


class Ending(NamedTuple):
    """An exit code and its sentence."""

    code: int
    sentence: str


def code_of(outcomes: "Iterable[Outcome]") -> int:
    """Return the exit code of several answers, the highest of theirs."""
    return max((outcome.exit_code for outcome in outcomes), default=PUBLISHED)


def ending_of(error: Exception, home: Path) -> Ending:
    """Return the ending that an error makes."""
    told = as_edgewright(error, home)
    return Ending(FAILED if says_nothing(told) else WRONG, str(told))


def as_edgewright(error: Exception, home: Path) -> EdgewrightError:
    """Return an error as one of Edgewright's. The traceback of one that is not goes into a log in `home`.

    Such an error comes from the system around a version: the disk, the memory, MLflow, Prefect. It says nothing about
    any version.
    """
    if isinstance(error, EdgewrightError):
        shown = without_secrets(str(error))
        return error if shown == str(error) else type(error)(shown)
    return SystemFailure(
        f"expected the system around the run to work, got {one_line(error)}; cure the cause and run again, no version "
        f"was answered by it ({_logged(error, home / 'logs')})"
    )


def _logged(error: Exception, folder: Path) -> str:
    """Write the traceback of an error into a log; return in words where it is."""
    path = folder / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}.log"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(without_secrets("".join(traceback.format_exception(error))))
        for old in sorted(folder.glob("*.log"))[:-KEPT_LOGS]:
            old.unlink(missing_ok=True)
    except OSError as failure:
        return f"its traceback could not be written to {folder}: {failure.strerror}"
    return f"its traceback is in {path}"

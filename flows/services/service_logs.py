"""Logs of services: one file each, and one older part."""

import shutil
from pathlib import Path

LARGEST = 10 * 2**20
"""Bytes of a log before its content becomes the older part."""


def log_of(folder: Path, service: str) -> Path:
    """Return the log of a service."""
    return folder / f"{service}.log"


def keep_short(log: Path) -> None:
    """Move the content of a long log into NAME.log.1. What is written meanwhile may be lost; who writes goes on.

    A writer appends, so it writes at the beginning after the cut.
    """
    try:
        if log.stat().st_size > LARGEST:
            shutil.copyfile(log, log.with_name(f"{log.name}.1"))
            with log.open("ab") as file:
                file.truncate(0)
    except FileNotFoundError:
        return


def last_words(log: Path) -> str:
    """Return the last line of a log that says something, at most 200 characters; empty where there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(log.stat().st_size - 4096, 0))
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    except OSError:
        return ""
    return lines[-1][:200] if lines else ""

"""The figures of the process that serves, in a file of the device's state folder that a report takes them from.

The process holds a lock on a file beside it, which the kernel frees however the process ends: so figures of a process
that is gone are known as such, in containers and after a reboot too. They are written without waiting for the disk.
"""

import fcntl
import json
import logging
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_runtime.errors import ReportError
from edge_runtime.files import make_directories, open_regular
from edge_runtime.statistics.served_figures import MOST_RELEASE, ServedInField, served_in_field
from edge_runtime.statistics.strict_record import StrictRecord, strict_json

SERVED = "served"
"""The folder of the file, below the state folder: the only one that a process which serves writes to."""
_NAME, _LOCK = "served.json", "served.lock"
_MOST_BYTES = 1 << 20
_MOST_MODELS = 1000
_log = logging.getLogger("edgewright")


@dataclass(frozen=True)
class ServedModel:
    """A model of a process that serves: the bundle that answers, or answered last, whether it is ready, its figures."""

    model: str
    release: str
    digest: str
    ready: bool
    figures: ServedInField


@dataclass(frozen=True)
class ServingRecord:
    """All models of a process that serves; `written` is when, in UTC by the device's clock."""

    pid: int
    written: str
    models: tuple[ServedModel, ...]


class ServedFile:
    """The file, for one process that writes it and others that read it."""

    def __init__(self, state: Path) -> None:
        self._folder = state / SERVED
        self._held: int | None = None

    def hold(self) -> bool:
        """Take the lock; False where another process has it, which then is at work. Raises OSError."""
        if self._held is not None:
            return True
        make_directories(self._folder)
        descriptor = _opened(self._folder / _LOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except BaseException:
            os.close(descriptor)
            raise
        self._held = descriptor
        return True

    def let_go(self) -> None:
        """Give the lock back; safe to repeat."""
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def write(self, record: ServingRecord) -> None:
        """Replace the file in one step; what a power cut leaves of it is of no use anyhow. Raises OSError."""
        temporary = self._folder / f".{_NAME}.{secrets.token_hex(8)}.tmp"
        try:
            temporary.write_bytes(json.dumps(_plain(record), sort_keys=True).encode())
            temporary.replace(self._folder / _NAME)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def read(self) -> ServingRecord | None:
        """Return what was written last; None where there is nothing, or nothing that can be read, which is logged."""
        path = self._folder / _NAME
        try:
            with open_regular(path) as file:
                return _record(strict_json(file.read(_MOST_BYTES), str(path)))
        except FileNotFoundError:
            return None
        except (OSError, ReportError) as error:
            _log.warning("%s cannot be read: %s", path, error)
            return None

    def remove(self) -> None:
        """Remove the file, and what a process that was killed has left beside it."""
        for path in (self._folder / _NAME, *self._folder.glob(f".{_NAME}.*.tmp")):
            with suppress(FileNotFoundError):
                path.unlink()


def _opened(lock: Path) -> int:
    """Open a lock, which another user may own, as where root served by hand: it can be held without writing to it."""
    flags = os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        return os.open(lock, flags | os.O_RDWR, 0o644)
    except PermissionError:
        return os.open(lock, flags | os.O_RDONLY, 0o644)


def _plain(record: ServingRecord) -> dict[str, Any]:
    models = [
        {
            "model": each.model, "release": each.release, "digest": each.digest, "ready": each.ready,
            "figures": each.figures.to_plain(),
        }
        for each in record.models
    ]  # fmt: skip
    return {"pid": record.pid, "written": record.written, "models": models}


def _record(document: object) -> ServingRecord:
    record = StrictRecord(document, "served", ("pid", "written", "models"))
    models = tuple(_model(item, where) for item, where in record.items("models", _MOST_MODELS))
    return ServingRecord(record.whole("pid"), record.time("written"), models)


def _model(value: object, where: str) -> ServedModel:
    record = StrictRecord(value, where, ("model", "release", "digest", "ready", "figures"))
    ready = record.value("ready")
    if not isinstance(ready, bool):
        raise ReportError(f"{record.where('ready')} must be true or false.")
    return ServedModel(
        record.component("model"),
        record.text("release", MOST_RELEASE, may_be_empty=True),
        record.sha256("digest", may_be_empty=True),
        ready,
        served_in_field(record.value("figures"), record.where("figures")),
    )

"""The endings of the last run, a line for each model, in a JSON file that `status` reads."""

import json
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edge_runtime.files import write_atomic
from edge_runtime.update.endings import UpdateExit

_log = logging.getLogger(__name__)
_VARYING = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]+Z|[0-9]+ (s|h|bytes)\b")


@dataclass(frozen=True)
class ModelEnding:
    """The ending of one model's update: a message for people, the release that was offered, and what held it back."""

    model: str
    exit: UpdateExit
    message: str
    release: str = ""
    digest: str = ""
    reason: str = ""
    since: str = ""
    """The time from which on it is so, by the device's clock, as UTC in ISO 8601."""


class EndingRecords:
    """The file of endings. It is written only where an ending differs, since flash wears out.

    Times and waits in a message make no difference: a server that stays away would change it in each run.
    """

    def __init__(self, path: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._path, self._now = path, now

    def read(self) -> list[ModelEnding]:
        """Return the endings of the last run; none where there is no file that can be read."""
        try:
            document = json.loads(self._path.read_bytes())
            return [_ending(each) for each in document["models"]]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            _log.warning("%s cannot be read: %s", self._path, error)
            return []

    def write(self, endings: Sequence[ModelEnding]) -> None:
        """Write the endings of a run, each with the time since when it is so. Raises OSError where the disk fails."""
        before = {ending.model: ending for ending in self.read()}
        now = self._now().strftime("%Y-%m-%dT%H:%M:%SZ")
        plain = [_plain(ending, before.get(ending.model), now) for ending in endings]
        if [_told(ending) for ending in endings] == [_told(ending) for ending in before.values()]:
            return
        write_atomic(self._path, (json.dumps({"models": plain}, indent=2, sort_keys=True) + "\n").encode())


def _key(ending: ModelEnding) -> tuple[str, UpdateExit, str, str]:
    return ending.model, ending.exit, ending.reason, ending.digest


def _told(ending: ModelEnding) -> tuple[object, ...]:
    said = "" if ending.exit is UpdateExit.DONE else _VARYING.sub("", ending.message)
    return *_key(ending), said


def _plain(ending: ModelEnding, before: ModelEnding | None, now: str) -> dict[str, Any]:
    since = before.since if before is not None and _key(before) == _key(ending) else now
    return {
        "model": ending.model, "exit": ending.exit.name, "message": ending.message, "release": ending.release,
        "digest": ending.digest, "reason": ending.reason, "since": since,
    }  # fmt: skip


def _ending(value: dict[str, Any]) -> ModelEnding:
    ending = ModelEnding(**{**value, "exit": UpdateExit[value["exit"]]})
    if not all(isinstance(text, str) for text in (ending.model, ending.message, ending.reason, ending.since)):
        raise ValueError("expected texts")
    return ending

"""Owners of runs: the process that works on one, as a tag, and whether somebody still does."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, fields

from tasks.processes import Process

OWNER = "edgewright.owner"
FOREIGN_DAYS = 7
"""Days after which a run of another machine counts as left behind: longer than any honest one takes."""


def owner_tag(process: Process) -> str:
    """Return an owner as the text of its tag, with the time at which it took the run."""
    return json.dumps(asdict(process) | {"since": int(time.time())})


def owner_of(tags: Mapping[str, str]) -> Process | None:
    """Read the owner from a run's tags; None where there is none, or where it has another form."""
    try:
        content = json.loads(tags[OWNER])
        return Process(**{field.name: content[field.name] for field in fields(Process)})
    except (KeyError, ValueError, TypeError):
        return None


def why_left(tags: Mapping[str, str], started_ms: int) -> str | None:
    """Return in words why a RUNNING run has nobody who works on it, None where somebody may."""
    owner = owner_of(tags)
    ended = None if owner is None else owner.has_ended()
    if owner is not None and ended:
        return f"process {owner.pid} of this machine ended without closing it"
    if ended is None and time.time() - _since(tags, started_ms) > FOREIGN_DAYS * 86400:
        return f"nothing is known of the process that opened it more than {FOREIGN_DAYS} days ago"
    return None


def _since(tags: Mapping[str, str], started_ms: int) -> float:
    try:
        return float(json.loads(tags[OWNER])["since"])
    except (KeyError, ValueError, TypeError):
        return started_ms / 1000

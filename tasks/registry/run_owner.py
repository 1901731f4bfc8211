"""Owners of runs: the process that works on one, told apart from every other process of every machine."""

import json
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

OWNER = "edgewright.owner"
FOREIGN_DAYS = 7
"""Days after which a run of another machine counts as left behind: longer than any honest one takes."""


@dataclass(frozen=True)
class Owner:
    """A process. A number is used again after its end, so the start counts too; a container has numbers of its own."""

    machine: str
    boot: str
    namespace: str
    pid: int
    started: int  # clock ticks after the boot

    @classmethod
    def this_process(cls) -> "Owner":
        """Return the owner that this process is."""
        boot = _first_line(Path("/proc/sys/kernel/random/boot_id"))
        namespace = Path("/proc/self/ns/pid")
        return cls(_machine(), boot, str(namespace.readlink()) if namespace.is_symlink() else "", os.getpid(),
                   _started(os.getpid()) or 0)  # fmt: skip

    @classmethod
    def of(cls, tags: Mapping[str, str]) -> "Owner | None":
        """Read the owner from a run's tags; None where there is none, or where it has another form."""
        try:
            content = json.loads(tags[OWNER])
            return cls(**{field.name: content[field.name] for field in fields(cls)})
        except (KeyError, ValueError, TypeError):
            return None

    @property
    def tag(self) -> str:
        """The owner as a tag, with the time at which it took the run."""
        return json.dumps(asdict(self) | {"since": int(time.time())})

    def has_ended(self) -> bool | None:
        """Tell whether the process has ended; None where that cannot be seen from here."""
        here = Owner.this_process()
        if self.machine != here.machine:
            return None
        if self.boot != here.boot:
            return True
        if self.namespace != here.namespace:
            return None
        return _started(self.pid) != self.started


def why_left(tags: Mapping[str, str], started_ms: int) -> str | None:
    """Return in words why a RUNNING run has nobody who works on it, None where somebody may."""
    owner = Owner.of(tags)
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


def _machine() -> str:
    """Return the machine's name and id: many machines have one name, and copies of one image have one id."""
    return f"{socket.gethostname()} {_first_line(Path('/etc/machine-id'))}".strip()


def _first_line(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _started(pid: int) -> int | None:
    """Return the start of a process in clock ticks after the boot; None where it runs no longer."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state in "ZX" else int(rest[18])

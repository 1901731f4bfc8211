"""Processes, each told apart from every other process of every machine."""

import hashlib
import os
import socket
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """A process. A number is used again after its end, so the start counts too; a container has numbers of its own."""

    machine: str
    boot: str
    namespace: str
    pid: int
    started: int  # clock ticks after the boot

    @classmethod
    def this(cls) -> "Process":
        """Return the process that asks."""
        boot = _first_line(Path("/proc/sys/kernel/random/boot_id"))
        namespace = Path("/proc/self/ns/pid")
        return cls(_machine(), boot, str(namespace.readlink()) if namespace.is_symlink() else "", os.getpid(),
                   _started(os.getpid()) or 0)  # fmt: skip

    def has_ended(self) -> bool | None:
        """Tell whether the process has ended; None where that cannot be seen from here."""
        here = Process.this()
        if self.machine != here.machine:
            return None
        if self.boot != here.boot:
            return True
        if self.namespace != here.namespace:
            return None
        return _started(self.pid) != self.started

    @property
    def mark(self) -> str:
        """A short text for the names of files: where its number counts, its number and its start."""
        where = hashlib.sha256("\n".join((self.machine, self.boot, self.namespace)).encode()).hexdigest()
        return f"{where[:12]}-{self.pid}-{self.started}"

    def __str__(self) -> str:
        """Write it for people."""
        return f"process {self.pid} on {self.machine.partition(' ')[0]}"


def has_ended_by_mark(mark: str) -> bool | None:
    """Tell whether the process of a mark has ended; None where that cannot be seen from here, or it is no mark."""
    where, _, numbers = mark.partition("-")
    pid, _, started = numbers.partition("-")
    if where != Process.this().mark.partition("-")[0] or not (pid.isdecimal() and started.isdecimal()):
        return None
    return _started(int(pid)) != int(started)


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

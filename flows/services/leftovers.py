"""Processes that a killed supervisor left behind, found by a variable that all of them carry."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

MARK = "EDGEWRIGHT_SERVICES"
"""Variable with the folder of the services; a run's processes inherit it from the worker."""
GRACE_S = 5.0
KILL_S = 60.0
LOOK_S = 0.05


def end_marked(folder: Path) -> int:
    """End all processes that carry the mark of a folder; return how many there were.

    They are asked first, and killed where they stay longer than 5 seconds or start others meanwhile. One that the
    kernel itself does not let go within a minute is left.
    """
    ended = set[int]()
    deadline = time.monotonic() + GRACE_S
    while (found := set(marked(folder))) and time.monotonic() < deadline + KILL_S:
        for pid in found - ended if time.monotonic() < deadline else found:
            _send(pid, signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL)
        ended |= found
        time.sleep(LOOK_S)
    return len(ended)


def marked(folder: Path) -> Iterator[int]:
    """Yield the processes of this user that carry the mark of a folder, without the one that asks."""
    wanted = f"{MARK}={folder}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if wanted in (entry / "environ").read_bytes().split(b"\0"):  # empty for one that has ended
                yield int(entry.name)
        except OSError:  # it has ended meanwhile, or is somebody else's
            continue


def end_group(leader: int) -> None:
    """Kill what is left of a process group whose leader has ended: a server's child would keep its port."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # a group of that number is somebody else's by now
        return


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return

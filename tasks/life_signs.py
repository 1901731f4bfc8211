"""Signs of life: a file that is locked as long as its process lives, for those who cannot see the process.

Containers of one machine have process numbers of their own. The locks of a volume that they share are the kernel's.
"""

import fcntl
import hashlib
import os
import time
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path

from edge_runtime.files import make_directories
from tasks.processes import Process

KEPT_S = 86400.0
"""Seconds after which the file of a process that has ended is removed: whoever wanted to know has looked by then."""
_held: dict[Path, int] = {}


def show_life(home: Path) -> None:
    """Lock a file of this process below a home until the process ends; a home without write access shows nothing."""
    path = _file(home, Process.this())
    if path in _held:
        return
    with suppress(OSError):
        make_directories(path.parent)
        _clean(path.parent)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            # POSIX's lock and not flock: the children of this process, which may outlive it, do not inherit it.
            fcntl.lockf(descriptor, fcntl.LOCK_EX)
        except OSError:  # a volume without locks: a file that nobody holds would say that this process has ended
            os.close(descriptor)
            path.unlink()
            raise
        _held[path] = descriptor


def has_let_go(home: Path, process: Process) -> bool | None:
    """Tell whether a process, which showed life below this home, has ended; None where that cannot be told.

    Across machines, a shared disk may keep no locks: only a process under the same kernel is told about. Two mounts of
    one disk may have locks of their own there too, so True is a strong sign and no proof.
    """
    boot = Process.this().boot
    return None if not boot or process.boot != boot else _is_free(_file(home, process))


def _file(home: Path, process: Process) -> Path:
    name = hashlib.sha256(repr(astuple(process)).encode()).hexdigest()[:16]
    return home / "alive" / f"{name}.lock"


def _is_free(path: Path) -> bool | None:
    """Tell whether nobody holds a file's lock; None where there is no such file, or where nothing can be locked."""
    if path in _held:  # to close it again would free it
        return False
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return None
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # the two ways in which systems say that another one holds it
        return False
    except OSError:
        return None
    else:
        return True
    finally:
        os.close(descriptor)


def _clean(folder: Path) -> None:
    for path in folder.glob("*.lock"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > KEPT_S and _is_free(path):
                path.unlink()

"""A child process in a group of its own, that ends within its time: killed with all that it started."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_STDERR = "stderr.txt"
_TAIL_BYTES = 4096
_TAIL_LINES = 5


@dataclass(frozen=True)
class Ended:
    """How a child ended: its return code (below 0: the signal), None on a time-out, and its last words."""

    returncode: int | None
    last_lines: str


def run_child(command: Sequence[str], folder: Path, environment: Mapping[str, str], timeout_s: float) -> Ended:
    """Run a command in a folder, with exactly the environment given; raises OSError if it cannot be started.

    Its stderr goes to a file, so that a descendant which keeps it open cannot hold the caller up.
    """
    with (folder / _STDERR).open("wb") as stderr:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
        )
    return Ended(_wait(process, timeout_s), _tail(folder / _STDERR))


def _wait(process: subprocess.Popen[bytes], timeout_s: float) -> int | None:
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)  # not reaped yet, so the number is still this group's
            process.wait()


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - _TAIL_BYTES, 0))
        lines = file.read().decode(errors="replace").split("\n")
    return "\n".join([line for line in lines if line.strip()][-_TAIL_LINES:])

"""Processes of the benchmark that live at the same time, within a memory limit or without one."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.record import ROOT

GROUPS = Path("/sys/fs/cgroup/memory")
MODULE = "tests.benchmarks.runtime.one_process"


@dataclass(frozen=True)
class Lived:
    """A process that answered, and what it said of its times in milliseconds."""

    pid: int
    said: dict[str, float]


@contextmanager
def alive(count: int, *arguments: str, group: Path | None = None, module: str = MODULE) -> Iterator[list[Lived]]:
    """Start processes one after the other, and yield those that live when the last one has answered or died."""
    with ExitStack() as stack:
        started = [_started(stack, (module, *arguments), group) for _ in range(count)]
        yield [Lived(process.pid, said) for process, said in started if said is not None and process.poll() is None]


def _started(
    stack: ExitStack, arguments: tuple[str, ...], group: Path | None
) -> tuple["subprocess.Popen[bytes]", dict[str, float] | None]:
    command = [sys.executable, "-m", *arguments]
    if group is not None:
        command = ["sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh", *command]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env=os.environ | {"ORT_DISABLE_TELEMETRY": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    stack.callback(_ended, process)
    assert process.stdout is not None
    line = process.stdout.readline()
    return process, json.loads(line) if line else None


def _ended(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()


@contextmanager
def limited(megabytes: int) -> Iterator[Path | None]:
    """Yield a control group with a memory limit; None where this user cannot make one."""
    group = GROUPS / f"edgewright-bench-{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(megabytes << 20))
    except OSError:
        yield None
        return
    try:
        yield group
    finally:
        with contextlib.suppress(OSError):
            group.rmdir()

"""Processes that are looked at: they load a model, answer once, say so, and wait to be let go."""

import json
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from edge_runtime.errors import MeasurementFailed, MeasurementInterrupted, MeasurementTimedOut
from edge_runtime.golden import write_golden
from edge_runtime.measurement import environment
from edge_runtime.model_files import HeadGraph
from edge_runtime.settings import SessionSettings

WORKER = ("-m", "edge_runtime.profiling.profiled_process")
_LONGEST_LINE = 1 << 16
_TAIL = 2000


@dataclass(frozen=True)
class WatchedProcess:
    """A process that waits, and what it said."""

    pid: int
    said: Mapping[str, Any]


@dataclass(frozen=True)
class WatchedModel:
    """A model, the rows of one call, and the seconds that a process may take until it waits."""

    graph: Path
    session: SessionSettings
    rows: Mapping[str, np.ndarray]
    timeout_s: float
    heads: tuple[HeadGraph, ...] = ()

    @contextmanager
    def processes(
        self, folder: Path, count: int, *, empty: bool = False, calls: int = 0
    ) -> Iterator[list[WatchedProcess]]:
        """Start processes one after the other, and keep them for the block; `empty` ones load no model.

        With `calls`, each says where ONNX Runtime wrote down so many calls. Raises MeasurementFailed where one ends.
        """
        folder.mkdir()
        write_golden(folder / "rows.npz", self.rows, {})
        request = {
            "graph": None if empty else str(self.graph), "session": self.session.to_plain(), "calls": calls,
            "rows": str(folder / "rows.npz"), "prefix": str(folder / "calls"),
            "heads": [[head.name, str(head.path), head.outputs] for head in self.heads],
        }  # fmt: skip
        (folder / "request.json").write_text(json.dumps(request))
        with ExitStack() as stack:
            yield [self._started(stack, folder, number) for number in range(count)]

    def _started(self, stack: ExitStack, folder: Path, number: int) -> WatchedProcess:
        errors = folder / f"stderr-{number}.txt"
        try:
            with errors.open("wb") as stderr:
                process = subprocess.Popen(
                    [sys.executable, *WORKER, str(folder / "request.json")], cwd=folder, stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE, stderr=stderr, env=environment(self.session.threads, ()),
                )  # fmt: skip
        except OSError as error:
            raise MeasurementInterrupted(f"The process that is profiled cannot start: {error}.") from error
        stack.callback(_let_go, process)
        line = _line(process.stdout, time.monotonic() + self.timeout_s) if process.stdout else b""
        if line is None:
            raise MeasurementTimedOut(f"{self.graph.name} did not answer within {self.timeout_s:g} s.")
        try:
            return WatchedProcess(process.pid, json.loads(line))
        except ValueError as error:
            tail = " ".join(errors.read_text(errors="replace").split())[-_TAIL:]
            raise MeasurementFailed(f"A process with {self.graph.name} ended before it answered: {tail}") from error


def _line(stream: IO[bytes], deadline: float) -> bytes | None:
    """Return the line that a process says; an empty or cut one where it ended, None after the deadline."""
    waiting, found = select.poll(), b""
    waiting.register(stream, select.POLLIN)
    while b"\n" not in found and len(found) < _LONGEST_LINE:
        if not waiting.poll(max(deadline - time.monotonic(), 0) * 1000):
            return None
        more = stream.read1(_LONGEST_LINE)  # type: ignore[attr-defined]  # a buffered reader
        if not more:
            break
        found += more
    return found


def _let_go(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()

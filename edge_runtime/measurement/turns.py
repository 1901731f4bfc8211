"""Models timed in turns: each in a process of its own, one at a time, in alternating order, so that times compare.

What makes a machine slow for a while makes all of them slow for as long.
"""

import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar, cast

from edge_runtime.errors import MeasurementFailed, MeasurementInterrupted
from edge_runtime.measurement.latency import TimedBlock, TimedLoad, TurnLatency
from edge_runtime.measurement.machine_lock import measuring_alone
from edge_runtime.measurement.protocol import REQUEST, write_request
from edge_runtime.measurement.records import MeasureRequest
from edge_runtime.measurement.runner import STDERR, WORKER, Ended, environment, failure_of, last_lines
from edge_runtime.measurement.timing import IN_TURNS, MINIMUM_REPEATS, TURN

if TYPE_CHECKING:
    import subprocess

FEWEST_ROUNDS = 16  # even: half of them in each order
_GRACE_S = 5.0
_Answer = TypeVar("_Answer")
_CHUNK = 1 << 16


def measure_in_turns(
    requests: Mapping[str, MeasureRequest], timeout_s: float, python: str = sys.executable
) -> dict[str, TurnLatency | MeasurementFailed]:
    """Time each named model in turns with the others; a model that fails has its MeasurementFailed instead.

    All processes are started together, as one process group. Each loads and warms its model while the others wait. Then
    one at a time times a block of calls while the others wait: A B C, C B A, and so on, until each has its
    `latency_repeats` of calls that no other process disturbed, or the `latency_seconds` of all of them are over and
    each has MINIMUM_REPEATS calls at all. The machine's lock is held meanwhile. `timeout_s` bounds the time that each
    model takes itself. Only the first `latency_batch_size` rows of a request are used.
    Raises MeasurementInterrupted where the machine's lock or a temporary folder is not to be had.
    """
    with measuring_alone(), ExitStack() as stack:
        try:
            group = _Group(stack, timeout_s, python)
        except OSError as error:
            raise MeasurementInterrupted(f"Nothing can be timed in turns: {error}.") from error
        members = group.started(requests)
        for member in members:
            member.await_ready()
        for member in members:
            member.load()
        _take_turns(members, sum(request.latency_seconds for request in requests.values()))
        return {member.name: member.result() for member in members}


def _take_turns(members: Sequence["_Member"], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    order = list(members)
    rounds = 0
    while not _enough(members, rounds, time.monotonic() >= deadline):
        for member in order:
            member.take_turn()
        order.reverse()
        rounds += 1


def _enough(members: Sequence["_Member"], rounds: int, over: bool) -> bool:
    taking = [member for member in members if member.failure is None]
    if not taking:
        return True
    if rounds % 2:  # each order as often as the other
        return False
    if over:
        return all(member.calls >= min(MINIMUM_REPEATS, member.request.latency_repeats) for member in taking)
    return rounds >= FEWEST_ROUNDS and all(member.undisturbed >= member.request.latency_repeats for member in taking)


class _Group:
    """The processes of one measurement, in one process group that ends with the stack."""

    def __init__(self, stack: ExitStack, timeout_s: float, python: str) -> None:
        import tempfile

        self._timeout_s, self._python = timeout_s, python
        self._root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgewright-turns-")))
        self._processes: list[subprocess.Popen[bytes]] = []
        stack.callback(self._end)

    def started(self, requests: Mapping[str, MeasureRequest]) -> "list[_Member]":
        """Start a process for each request."""
        return [
            self._member(name, request, self._root / str(index))
            for index, (name, request) in enumerate(requests.items())
        ]

    def _member(self, name: str, request: MeasureRequest, folder: Path) -> "_Member":
        member = _Member(name, request, folder, self._timeout_s)
        if not request.model.is_file():
            member.failure = MeasurementFailed(
                f"There is no model file at {request.model}; give the path of an ONNX graph."
            )
            return member
        try:
            folder.mkdir()
            member.process = self._process(request, folder)
        except OSError as error:
            member.failure = MeasurementInterrupted(f"The process that times {request.model} cannot start: {error}.")
        except ValueError as error:
            member.failure = MeasurementFailed(f"The rows for {request.model} cannot be written: {error}.")
        return member

    def _process(self, request: MeasureRequest, folder: Path) -> "subprocess.Popen[bytes]":
        import subprocess

        write_request(folder, request.for_timing())
        with (folder / STDERR).open("wb") as stderr:
            process = subprocess.Popen(
                [self._python, *WORKER, str(folder / REQUEST), IN_TURNS],
                cwd=folder,
                env=environment(request.settings.threads, ()),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                process_group=self._processes[0].pid if self._processes else 0,
            )
        self._processes.append(process)
        return process

    def _end(self) -> None:
        # A group that has a process which was not reaped keeps its number, so nobody else's group can be hit.
        if any(process.returncode is None for process in self._processes):
            os.killpg(self._processes[0].pid, signal.SIGKILL)
        for process in self._processes:
            process.wait()
            for pipe in _pipes(process):
                pipe.close()


class _Member:
    """One model's process: it is asked for blocks until it fails or nobody asks any more."""

    def __init__(self, name: str, request: MeasureRequest, folder: Path, timeout_s: float) -> None:
        self.name, self.request = name, request
        self.process: subprocess.Popen[bytes] | None = None
        self.failure: MeasurementFailed | None = None
        self.blocks: list[TimedBlock] = []
        self.timed_load: TimedLoad | None = None
        self._folder = folder
        self._timeout_s = self._left_s = timeout_s
        self._received = b""

    @property
    def calls(self) -> int:
        """The number of calls that were timed."""
        return sum(len(block.milliseconds) for block in self.blocks)

    @property
    def undisturbed(self) -> int:
        """The number of calls during which no other process took the CPU away."""
        return sum(len(block.undisturbed) for block in self.blocks)

    def result(self) -> TurnLatency | MeasurementFailed:
        """Return the figures of all blocks, or the failure."""
        if self.failure is None and self.timed_load is not None:
            return TurnLatency.of(self.timed_load, self.blocks)
        return self.failure or MeasurementInterrupted(f"{self.request.model} was not loaded; measure again.")

    def await_ready(self) -> None:
        """Wait until the process can load its model, or failed."""
        self._answered(b"", _ready)

    def load(self) -> None:
        """Load and warm the model while the others wait."""
        self.timed_load = self._answered(TURN, TimedLoad.from_plain)

    def take_turn(self) -> None:
        """Time one block while the others wait."""
        block = self._answered(TURN, TimedBlock.from_plain)
        if block is not None:
            self.blocks.append(block)

    def _answered(self, question: bytes, read: Callable[[Any], _Answer]) -> _Answer | None:
        """Return what the process answers, read from JSON; None, and the failure is known, where it does not."""
        if self.failure is not None or self.process is None:
            return None
        began = time.monotonic()
        try:
            return read(json.loads(self._next_line(self.process, question)))
        except (EOFError, BrokenPipeError):
            self.failure = self._death(self.process)
        except TimeoutError:
            self.failure = self._death(self.process, ran_out_of_time=True)
        except ValueError as error:
            self.failure = self._garbled(error)
        finally:
            self._left_s -= time.monotonic() - began
        return None

    def _next_line(self, process: "subprocess.Popen[bytes]", question: bytes) -> bytes:
        questions, answers = (pipe.fileno() for pipe in _pipes(process))
        deadline = time.monotonic() + self._left_s
        os.write(questions, question)
        waiting = select.poll()
        waiting.register(answers, select.POLLIN)
        while b"\n" not in self._received:
            if not waiting.poll(max(deadline - time.monotonic(), 0) * 1000):
                raise TimeoutError
            more = os.read(answers, _CHUNK)
            if not more:
                raise EOFError
            self._received += more
        line, _, self._received = self._received.partition(b"\n")
        return line

    def _death(self, process: "subprocess.Popen[bytes]", *, ran_out_of_time: bool = False) -> MeasurementFailed:
        import subprocess

        returncode = None
        try:
            returncode = None if ran_out_of_time else process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            pass
        finally:
            process.kill()
            process.wait()
        ended = Ended(returncode, last_lines(self._folder))
        return failure_of(self._folder, ended, self.request, self._timeout_s)

    def _garbled(self, error: ValueError) -> MeasurementFailed:
        return MeasurementInterrupted(
            f"The process that times {self.request.model} sent no times ({error}); measure again."
        )


def _ready(document: Any) -> None:
    if document != "ready":
        raise ValueError(f"expected ready, got {document!r}")


def _pipes(process: "subprocess.Popen[bytes]") -> tuple[IO[bytes], IO[bytes]]:
    return cast(IO[bytes], process.stdin), cast(IO[bytes], process.stdout)

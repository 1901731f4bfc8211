"""Measuring a model in a process of its own, so that a crash or a time-out there is only a failed measurement."""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.errors import MeasurementFailed, MeasurementInterrupted, MeasurementTimedOut
from edge_runtime.measurement.machine_lock import measuring_alone
from edge_runtime.measurement.protocol import PARENT, REQUEST, RESULT, read_result, write_request
from edge_runtime.measurement.records import Measurement, MeasureRequest

# `subprocess` and `tempfile` are imported where they are used: the measuring process loads this package too, and its
# memory is part of every figure.
_KEPT_VARIABLES = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH")
WORKER = ("-m", "edge_runtime.measurement.worker")
STDERR = "stderr.txt"
_TAIL_BYTES = 4096
_TAIL_LINES = 5
_CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGILL, signal.SIGFPE, signal.SIGBUS, signal.SIGTRAP, signal.SIGSYS}
"""Signals that a process brings on itself. All others come from outside, the kernel's SIGKILL included: the limit on
memory never sends one, for an allocation over it fails."""


@dataclass(frozen=True)
class Ended:
    """The end of a child: its return code (below 0: the signal, None: a time-out) and the last lines of its stderr."""

    returncode: int | None
    last_lines: str


def measure(
    request: MeasureRequest,
    timeout_s: float,
    python: str = sys.executable,
    *,
    emulator: Sequence[str] = (),
    packages: Sequence[Path] = (),
) -> Measurement:
    """Predict every row and take the figures in a fresh process, run by the interpreter `python`.

    Where times are asked for, the machine's lock is held meanwhile; waiting for it is no part of `timeout_s`.
    `emulator` is a command that runs an interpreter of another CPU; `packages` then holds its numpy and onnxruntime.
    Raises MeasurementFailed with one sentence for a model that is missing, does not load or does not take the rows,
    for an answer that is NaN or infinite, for an exceeded limit of memory and for a crash; MeasurementInterrupted,
    which says nothing about the model, for a process that cannot start, is killed from outside or runs out of time, and
    for a result that is missing or garbled, as on a full disk.
    """
    if not request.model.is_file():
        raise MeasurementFailed(f"There is no model file at {request.model}; give the path of an ONNX graph.")
    import tempfile

    try:
        with tempfile.TemporaryDirectory(prefix="edgewright-measure-") as name:
            folder = Path(name)
            write_request(folder, request)
            command = [*emulator, python, *WORKER, str(folder / REQUEST)]
            with measuring_alone() if request.times_calls else nullcontext():
                ended = run_child(command, folder, environment(request.settings.threads, packages), timeout_s)
            _check_ending(ended, request, timeout_s)
            return _read(folder, ended, request)
    except OSError as error:
        raise MeasurementInterrupted(f"The measuring process of {request.model} cannot start: {error}.") from error
    except ValueError as error:
        raise MeasurementFailed(f"The rows for {request.model} cannot be written: {error}.") from error


def run_child(command: Sequence[str], folder: Path, environment: Mapping[str, str], timeout_s: float) -> Ended:
    """Run a command in a folder with exactly the given environment; at its end or its time-out, return how it ended.

    It has a process group of its own, which is killed on a time-out with everything that the command started. Its
    stderr goes to a file, so that a descendant which keeps it open cannot delay the caller.
    Raises OSError if the command cannot be started.
    """
    import subprocess

    with (folder / STDERR).open("wb") as stderr:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
        )
    returncode = None
    try:
        returncode = process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        pass
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)  # not reaped yet, so the number still belongs to this group
            process.wait()
    return Ended(returncode, last_lines(folder))


def last_lines(folder: Path) -> str:
    """Return the last lines that the process of a folder wrote to stderr."""
    path = folder / STDERR
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - _TAIL_BYTES, 0))
        lines = file.read().decode(errors="replace").split("\n")
    return "\n".join([line for line in lines if line.strip()][-_TAIL_LINES:])


def environment(threads: int, packages: Sequence[Path]) -> dict[str, str]:
    """Return all variables of a measuring process; `packages` come before this one's folder."""
    paths = (*packages, Path(__file__).resolve().parents[2])
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    return kept | {
        "LANG": "C.UTF-8",
        PARENT: str(os.getpid()),
        "OMP_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": "1",
        "ORT_DISABLE_TELEMETRY": "1",
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "PYTHONSAFEPATH": "1",
    }


def failure_of(folder: Path, ended: Ended, request: MeasureRequest, timeout_s: float) -> MeasurementFailed:
    """Return the failure of a process that ended and should not have: what it wrote, or how it ended."""
    try:
        _check_ending(ended, request, timeout_s)
        _read(folder, ended, request)
    except MeasurementFailed as error:
        return error
    return MeasurementInterrupted(f"The process that measured {request.model} ended too early." + _said(ended))


def _check_ending(ended: Ended, request: MeasureRequest, timeout_s: float) -> None:
    if ended.returncode is None:
        raise MeasurementTimedOut(
            f"Measuring {request.model} took longer than its {timeout_s:g} s and was killed; "
            "allow more time, fewer rows or fewer repeats." + _said(ended)
        )
    if ended.returncode < 0:
        limit = "" if request.memory_limit_mb is None else f" under the memory limit of {request.memory_limit_mb:g} MiB"
        kind = MeasurementFailed if -ended.returncode in _CRASHES else MeasurementInterrupted
        raise kind(
            f"The process that measured {request.model} was ended by {_signal(-ended.returncode)}{limit}; "
            "the kernel's own cause would be in its log." + _said(ended)
        )


def _read(folder: Path, ended: Ended, request: MeasureRequest) -> Measurement:
    try:
        measurement = read_result(folder, request)
    except FileNotFoundError as error:
        raise MeasurementInterrupted(
            f"The process that measured {request.model} ended with status {ended.returncode} and left no complete "
            f"{RESULT}." + _said(ended)
        ) from error
    except (ValueError, TypeError, OSError, EOFError, RecursionError) as error:
        raise MeasurementInterrupted(
            f"The {RESULT} of measuring {request.model} is garbled ({error}); measure again." + _said(ended)
        ) from error
    except MeasurementFailed as error:
        raise MeasurementFailed(f"Measuring {request.model} failed. {error}") from error
    if ended.returncode != 0:
        raise MeasurementInterrupted(
            f"The process that measured {request.model} ended with status {ended.returncode} after its result; "
            "its figures are not used." + _said(ended)
        )
    return measurement


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _said(ended: Ended) -> str:
    return f" Its last lines were: {ended.last_lines}" if ended.last_lines else " It wrote nothing to stderr."

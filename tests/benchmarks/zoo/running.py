"""The processes of the zoo: two architectures beside each other at most, their times one by one, each under limits."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from functools import cache
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

from rich.console import Console

from edge_runtime.files import write_atomic
from tests.benchmarks.record import ROOT
from tests.benchmarks.zoo.measured import FLOAT, JOURNAL, SNAPSHOT, TIMES, TRAINED
from tests.benchmarks.zoo.models import ENTRIES

FOLDER = ROOT / ".edgewright" / "bench" / "zoo"
ROW = "row.json"
BESIDE = 2
TIMEOUT_S, TIMES_TIMEOUT_S = 400.0, 300.0
PASSES = ("rows", "times", "qat")
ROOMS = ("model_compression", "edge_runtime", "tests/benchmarks/zoo")
NOT_MEASURED = ("table.py", "running.py", "__main__.py")
console = Console(highlight=False)


def measure_rows(names: Sequence[str], *, again: bool, passes: Sequence[str] = PASSES) -> None:
    """Measure the named architectures that are not known under this code: their rows, times, and QAT."""
    if "rows" in passes:
        wanted = [name for name in names if again or not _is_known(name, ROW)]
        _beside_each_other(wanted, _row)
    if "times" in passes:
        wanted = [name for name in names if (FOLDER / name / FLOAT).is_file()]
        for done, name in enumerate([name for name in wanted if again or not _is_known(name, TIMES)], 1):
            _tell(done, len(wanted), _timed(name))
    if "qat" in passes:
        wanted = [name for name in names if (FOLDER / name / SNAPSHOT).is_dir()]
        _beside_each_other([name for name in wanted if again or not _is_known(name, TRAINED)], _trained)


def _beside_each_other(names: Sequence[str], measure: Callable[[str], tuple[str, str]]) -> None:
    with ThreadPoolExecutor(BESIDE) as pool:
        for done, row in enumerate(as_completed([pool.submit(measure, name) for name in names]), 1):
            _tell(done, len(names), row.result())


def _tell(done: int, of: int, said: tuple[str, str]) -> None:
    console.print(f"{done}/{of} {said[0]}: {said[1]}")


def _timed(name: str) -> tuple[str, str]:
    began = time.monotonic()
    ended = _run("times", name, TIMES_TIMEOUT_S)
    return name, f"times {ended or 'taken'}, {time.monotonic() - began:.0f} s"


def _trained(name: str) -> tuple[str, str]:
    began = time.monotonic()
    ended = _run("quantized_training", name, TIMEOUT_S)
    if ended:
        write_atomic(FOLDER / name / TRAINED, json.dumps({"code": code_digest(), "error": ended}).encode())
    said = json.loads((FOLDER / name / TRAINED).read_text())
    return name, f"QAT {said.get('error', 'went through')}, {time.monotonic() - began:.0f} s"


def code_digest() -> str:
    """Return the digest of the code that a row stands on."""
    return _digest()


@cache
def _digest() -> str:
    hashed = hashlib.sha256()
    for path in sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        if path.name not in NOT_MEASURED:
            hashed.update(path.read_bytes())
    return hashed.hexdigest()[:16]


@cache
def _commit() -> str:
    asked = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or "unknown"


def _is_known(name: str, file: str) -> bool:
    path = FOLDER / name / file
    return path.is_file() and json.loads(path.read_text()).get("code") == code_digest()


def _row(name: str) -> tuple[str, str]:
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    began = time.monotonic()
    ended = _run("one_row", name, TIMEOUT_S)
    seconds = time.monotonic() - began
    journal = folder / JOURNAL
    steps: dict[str, dict[str, Any]] = json.loads(journal.read_text()) if journal.is_file() else {}
    row = {"code": code_digest(), "commit": _commit(), "source": ENTRIES[name].source, "data": ENTRIES[name].data,
           "ended": ended, "seconds": round(seconds, 1), "steps": steps}  # fmt: skip
    write_atomic(folder / ROW, json.dumps(row, indent=1).encode())
    wrong = [f"{step}: {found.get('error', ended)}" for step, found in steps.items()
             if "error" in found or not found["ended"]]  # fmt: skip
    return name, f"{seconds:.0f} s; {ended + ' ' if ended else ''}{'; '.join(wrong)[:300] or 'went through'}"


def _run(program: str, name: str, timeout_s: float) -> str:
    """Run a program of one architecture; return in words how it ended where it did not end well."""
    folder = FOLDER / name
    process = _server().Process(target=_alone, args=(program, name, folder, code_digest()))
    process.start()
    process.join(timeout_s)
    if process.exitcode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid or 0, signal.SIGKILL)
        process.kill()
        process.join()
        return f"hung: it was not done after {timeout_s:.0f} s"
    if process.exitcode:
        lines = (folder / f"{program}.log").read_text(errors="replace").strip().splitlines()
        return f"crashed with {process.exitcode}: {lines[-1][:200] if lines else 'nothing was said'}"
    return ""


@cache
def _server() -> ForkServerContext:
    """Return what starts processes that have the libraries loaded already, which else takes most of a row's time."""
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    context = get_context("forkserver")
    context.set_forkserver_preload(["tests.benchmarks.zoo.measured.preloaded"])
    return context


def _alone(program: str, name: str, folder: Path, code: str) -> None:
    """Be the process of one architecture, in a group of its own; what it says goes into a file."""
    os.setsid()
    log = os.open(folder / f"{program}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    import_module(f"tests.benchmarks.zoo.measured.{program}").main(name, folder, code)


def kept_rows() -> dict[str, dict[str, Any]]:
    """Return what is kept of each architecture: its row, and the times and QAT where they were measured."""
    rows = {}
    for name in ENTRIES:
        if (FOLDER / name / ROW).is_file():
            rows[name] = _read(name, ROW)
            rows[name]["times"] = _read(name, TIMES)
            if trained := _read(name, TRAINED):
                rows[name]["steps"]["qat"] = trained
    return rows


def _read(name: str, file: str) -> dict[str, Any]:
    path = FOLDER / name / file
    found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return found

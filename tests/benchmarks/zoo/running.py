"""The processes of the zoo: two architectures beside each other at most, their times one by one, each under limits."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

from rich.console import Console

from edge_runtime.files import write_atomic
from tests.benchmarks.record import ROOT
from tests.benchmarks.zoo.measured import FLOAT, JOURNAL, TIMES
from tests.benchmarks.zoo.models import ENTRIES

FOLDER = ROOT / ".edgewright" / "bench" / "zoo"
ROW = "row.json"
BESIDE = 2
TIMEOUT_S, TIMES_TIMEOUT_S = 400.0, 300.0
ROOMS = ("model_compression", "edge_runtime", "tests/benchmarks/zoo")
NOT_MEASURED = ("table.py", "running.py", "__main__.py")
console = Console(highlight=False)


def measure_rows(names: Sequence[str], *, again: bool, times: bool) -> None:
    """Measure the named architectures that are not known under this code, and then the times of their files."""
    wanted = [name for name in names if again or not _is_known(name, ROW)]
    console.print(f"{len(wanted)} of {len(names)} architectures are not known yet")
    with ThreadPoolExecutor(BESIDE) as pool:
        for done, (name, said) in enumerate(pool.map(_row, wanted), 1):
            console.print(f"{done}/{len(wanted)} {name}: {said}")
    if not times:
        return
    timed = [name for name in names if (FOLDER / name / FLOAT).is_file() and (again or not _is_known(name, TIMES))]
    for done, name in enumerate(timed, 1):
        began = time.monotonic()
        ended = _run("times", name, TIMES_TIMEOUT_S)
        console.print(f"times {done}/{len(timed)} {name}: {ended or 'measured'}, {time.monotonic() - began:.0f} s")


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
    asked = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False)
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
    with (folder / f"{program}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", f"tests.benchmarks.zoo.measured.{program}", name, str(folder)],
            cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"},
        )  # fmt: skip
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return f"hung: it was not done after {timeout_s:.0f} s"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if code:
        lines = (folder / f"{program}.log").read_text(errors="replace").strip().splitlines()
        return f"crashed with {code}: {lines[-1][:200] if lines else 'nothing was said'}"
    return ""


def kept_rows() -> dict[str, dict[str, Any]]:
    """Return what is kept of each architecture: its row, and the times where they were taken."""
    rows = {}
    for name in ENTRIES:
        path = FOLDER / name / ROW
        if path.is_file():
            rows[name] = json.loads(path.read_text())
            times = FOLDER / name / TIMES
            rows[name]["times"] = json.loads(times.read_text()) if times.is_file() else {}
    return rows


def folder_of(name: str) -> Path:
    """Return the folder of an architecture."""
    return FOLDER / name

"""A writer is killed with SIGKILL before each durable step: no reader may see a part, and the next writer heals."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from edge_runtime.bundle import BundleError, read_bundle
from tests.edge_runtime.bundle.writing import write
from tests.edge_runtime.models import portable_model

# The child says "reached NAME" before its step number `stop`, and waits there to be killed.
_CHILD = """
import json, os, sys, time
from tests.edge_runtime.bundle.writing import write

target, stop = sys.argv[1], int(sys.argv[2])
steps = []

def watched(name):
    real = getattr(os, name)
    def step(*arguments, **options):
        steps.append(name)
        if len(steps) - 1 == stop:
            print("reached", name, flush=True)
            time.sleep(60)
        return real(*arguments, **options)
    setattr(os, name, step)

for name in ("mkdir", "fsync", "rename", "rmdir", "unlink"):
    watched(name)
write(target, "2")
print("finished", json.dumps(steps), flush=True)
"""


def _child(target: Path, stop: int) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", _CHILD, str(target), str(stop)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def _steps(target: Path) -> list[str]:
    with _child(target, -1) as child:
        output, _ = child.communicate(timeout=60)
    word, _, steps = output.partition(" ")
    assert word == "finished"
    counted: list[str] = json.loads(steps)
    return counted


def _kill_at(target: Path, stop: int, damaged: Path | None = None) -> str:
    """Kill a writer before its step `stop` and say which step it was; readers look before and after the kill."""
    with _child(target, stop) as child:
        assert child.stdout is not None
        word, _, step = child.stdout.readline().strip().partition(" ")
        assert word == "reached", "the fault did not fire"
        _check_readers(target, damaged)
        child.kill()
        assert child.wait(10) == -signal.SIGKILL
    _check_readers(target, damaged)
    return step


def _check_readers(target: Path, damaged: Path | None) -> None:
    """Every bundle that shows is whole; the one that was damaged before may also be refused, or be gone."""
    for path in _visible(target):
        try:
            read_bundle(path)
        except BundleError:
            assert path == damaged, f"a reader sees a part of {path}"
    assert "1" in [json.loads((path / "manifest.json").read_text())["version"] for path in _visible(target)]


def _visible(target: Path) -> list[Path]:
    return [path for path in target.glob("linear/gateway/*") if not path.name.startswith(".tmp-")]


def _check_heals(target: Path) -> None:
    written = write(target, "2")
    assert read_bundle(written).manifest.version == "2"
    assert len(_visible(target)) == 2
    assert len(list((target / "linear" / "gateway").iterdir())) == 2


def _target(folder: Path) -> Path:
    """A target that holds version 1, and beside it the model that both versions are made of."""
    portable_model(folder, 200, 100)
    write(folder / "target", "1")
    return folder / "target"


def _damaged_bundle(target: Path) -> Path:
    path = write(target, "2")
    blob = read_bundle(path).entry_path
    blob.chmod(0o644)
    blob.write_bytes(b"damaged")
    return path


def test_a_writer_killed_before_any_step_leaves_no_part_behind(tmp_path: Path) -> None:
    steps = _steps(_target(tmp_path / "counted"))
    assert {"mkdir", "fsync", "rename"} <= set(steps)
    for stop, step in enumerate(steps):
        target = _target(tmp_path / str(stop))
        assert _kill_at(target, stop) == step
        _check_heals(target)


def test_a_repair_killed_before_any_step_is_repaired_by_the_next_writer(tmp_path: Path) -> None:
    counted = _target(tmp_path / "counted")
    _damaged_bundle(counted)
    steps = _steps(counted)
    assert steps.count("rename") == 2
    for stop, step in enumerate(steps):
        target = _target(tmp_path / str(stop))
        damaged = _damaged_bundle(target)
        assert _kill_at(target, stop, damaged) == step
        _check_heals(target)


def test_writers_killed_one_after_another_leave_one_healthy_target(tmp_path: Path) -> None:
    target = _target(tmp_path / "same")
    for stop in range(8):
        _kill_at(target, stop)
    _check_heals(target)

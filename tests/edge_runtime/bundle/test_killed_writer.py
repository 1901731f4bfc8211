"""A writer is killed with SIGKILL before each durable step: no reader may see a part, and the next writer heals."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from edge_runtime.bundle import BundleError, read_bundle
from tests.edge_runtime.bundle.listing import bundles_in, manifests_in
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

for name in ("mkdir", "fsync", "chmod", "replace", "unlink"):
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


def _kill_at(target: Path, stop: int, damaged: Path | None = None, *, first: bool = False) -> str:
    """Kill a writer before its step `stop` and say which step it was; readers look before and after the kill.

    `first` says that there is no version 1 yet, which must be there all the time.
    """
    with _child(target, stop) as child:
        assert child.stdout is not None
        word, _, step = child.stdout.readline().strip().partition(" ")
        assert word == "reached", "the fault did not fire"
        _check_readers(target, damaged, first)
        child.kill()
        assert child.wait(10) == -signal.SIGKILL
    _check_readers(target, damaged, first)
    return step


def _check_readers(target: Path, damaged: Path | None, first: bool) -> None:
    """Every bundle that shows is whole; the one that was damaged before may also be refused."""
    seen = []
    for path in manifests_in(target):
        try:
            seen.append(read_bundle(path).manifest.version)
        except BundleError:
            assert path == damaged, f"a reader sees a part of {path}"
    assert first or "1" in seen


def _check_heals(target: Path) -> None:
    written = write(target, "2")
    assert read_bundle(written).manifest.version == "2"
    bundles = bundles_in(target)
    assert sorted(bundle.manifest.version for bundle in bundles) == ["1", "2"]
    assert sorted(path.name for path in written.parent.iterdir()) == sorted(bundle.path.name for bundle in bundles)
    blobs = {blob.sha256 for bundle in bundles for blob in bundle.manifest.blobs}
    assert {path.name for path in (target / "blobs").iterdir()} == blobs


def _target(folder: Path) -> Path:
    """A target that holds version 1; beside it the model of version 2, of which version 1 has the graph's weights."""
    portable_model(folder / "before", 200, 100)
    write(folder / "before" / "target", "1")
    (folder / "before" / "target").rename(folder / "target")
    portable_model(folder, 200, 120)
    return folder / "target"


def _damaged_bundle(target: Path) -> Path:
    """Version 2, of which a blob and the manifest are damaged."""
    path = write(target, "2")
    for damaged in (read_bundle(path).entry_path, path):
        damaged.chmod(0o644)
        damaged.write_bytes(b"damaged")
    return path


def test_a_writer_killed_before_any_step_leaves_no_part_behind(tmp_path: Path) -> None:
    steps = _steps(_target(tmp_path / "counted"))
    assert steps.count("replace") == 3 and {"fsync", "chmod", "unlink"} <= set(steps)  # two blobs and the manifest
    for stop, step in enumerate(steps):
        target = _target(tmp_path / str(stop))
        assert _kill_at(target, stop) == step
        _check_heals(target)


def test_a_first_writer_killed_before_any_step_leaves_what_the_next_one_completes(tmp_path: Path) -> None:
    portable_model(tmp_path / "counted", 20, 10)
    steps = _steps(tmp_path / "counted" / "target")
    assert steps.count("mkdir") == 5  # target, blobs, targets, the model and the device
    for stop, step in enumerate(steps):
        portable_model(tmp_path / str(stop), 20, 10)
        target = tmp_path / str(stop) / "target"
        assert _kill_at(target, stop, first=True) == step
        written = write(target, "2")
        assert [bundle.path for bundle in bundles_in(target)] == [written]
        assert len(list(written.parent.iterdir())) == 1 and len(list((target / "blobs").iterdir())) == 2


def test_a_repair_killed_before_any_step_is_repaired_by_the_next_writer(tmp_path: Path) -> None:
    counted = _target(tmp_path / "counted")
    _damaged_bundle(counted)
    steps = _steps(counted)
    assert steps.count("replace") == 2
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

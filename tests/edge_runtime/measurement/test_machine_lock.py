"""The machine's measuring lock: held by one process at a time, freed by its end, and never a reason to fail."""

import logging
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from edge_runtime.errors import MeasurementInterrupted
from edge_runtime.measurement import machine_lock
from edge_runtime.measurement.machine_lock import measuring_alone
from tests.edge_runtime.processes import wait_until

_HOLDING = """
import sys, time
from pathlib import Path
from edge_runtime.measurement.machine_lock import measuring_alone
with measuring_alone(Path(sys.argv[1])):
    Path(sys.argv[2]).touch()
    time.sleep(60)
"""


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "measuring.lock"


def _holder(lock: Path, ready: Path) -> "subprocess.Popen[bytes]":
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    process = subprocess.Popen([sys.executable, "-c", _HOLDING, str(lock), str(ready)], env=environment)
    wait_until(ready.exists, 30)
    return process


def test_two_holders_follow_each_other(lock: Path) -> None:
    seen: list[str] = []

    def hold() -> None:
        with measuring_alone(lock):
            seen.append("in")
            time.sleep(0.1)
            seen.append("out")

    threads = [threading.Thread(target=hold) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == ["in", "out"] * 3


def test_a_wait_is_said_once_and_bounded(lock: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "edgewright")
    logging.getLogger("edgewright").addHandler(caplog.handler)
    with _holder(lock, tmp_path / "ready") as holder:
        with pytest.raises(MeasurementInterrupted, match=r"has held .* for 0\.3 s; look"), measuring_alone(lock, 0.3):
            pytest.fail("two hold the lock")
        holder.kill()
    logging.getLogger("edgewright").removeHandler(caplog.handler)
    assert len({record.getMessage() for record in caplog.records if "waiting" in record.getMessage()}) == 1


def test_a_kill_frees_it(lock: Path, tmp_path: Path) -> None:
    with _holder(lock, tmp_path / "ready") as holder:
        holder.send_signal(signal.SIGKILL)
    with measuring_alone(lock, 5.0):
        pass


def test_a_child_of_the_holder_does_not_hold_it(lock: Path) -> None:
    with measuring_alone(lock):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], close_fds=False)
    try:
        with measuring_alone(lock, 5.0):
            assert child.poll() is None
    finally:
        child.kill()
        child.wait()


def test_it_is_freed_by_an_error_inside(lock: Path) -> None:
    with pytest.raises(ZeroDivisionError), measuring_alone(lock):
        raise ZeroDivisionError
    with measuring_alone(lock, 0.0):
        pass


def test_every_user_may_take_it_whatever_the_umask_is(lock: Path) -> None:
    before = os.umask(0o077)
    try:
        with measuring_alone(lock):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE(lock.stat().st_mode) == 0o666


def test_a_file_that_is_removed_meanwhile_is_not_held_twice(lock: Path) -> None:
    with measuring_alone(lock):
        lock.unlink()
        with measuring_alone(lock, 0.0):  # a new file: the old one is nobody's any more
            assert lock.exists()


@pytest.mark.parametrize("kind", ["folder", "fifo", "link"])
def test_a_file_that_cannot_be_locked_is_a_warning(lock: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    if kind == "folder":
        lock.mkdir()
    elif kind == "fifo":
        os.mkfifo(lock)
    else:
        lock.symlink_to(lock.with_name("elsewhere"))
    logging.getLogger("edgewright").addHandler(caplog.handler)
    with measuring_alone(lock):
        pass
    logging.getLogger("edgewright").removeHandler(caplog.handler)
    assert any("measuring without the machine's lock" in record.getMessage() for record in caplog.records)
    assert not lock.with_name("elsewhere").exists()


def test_the_file_is_one_for_all_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert machine_lock.LOCK.parent.stat().st_mode & stat.S_IWOTH

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_runtime.errors import UpdateError
from edge_runtime.update import HeldBack, exclusive

HOLDING = (
    "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, int(sys.argv[2])); print('held', flush=True); input()"
)


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "busy.lock"


@pytest.mark.parametrize("kind", [fcntl.LOCK_SH, fcntl.LOCK_EX])
def test_an_application_that_is_busy_holds_the_update_off_until_it_dies(lock: Path, kind: int) -> None:
    lock.touch()
    command = [sys.executable, "-c", HOLDING, str(lock), str(int(kind))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        with pytest.raises(HeldBack) as raised, exclusive(lock):
            pass
        assert raised.value.reason == "lock"
        holder.kill()
        holder.wait()
    with exclusive(lock):
        pass


def test_the_update_waits_as_long_as_it_may(lock: Path) -> None:
    with exclusive(lock):
        pauses: list[float] = []

        def sleep(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 3:
                os.close(held)

        held = os.open(lock, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_SH)
    with exclusive(lock, 60.0, sleep=sleep):
        assert len(pauses) == 3


def test_two_agents_do_not_run_at_once(lock: Path) -> None:
    with exclusive(lock), pytest.raises(HeldBack), exclusive(lock):
        pass


def test_what_is_no_plain_file_is_an_error(lock: Path, tmp_path: Path) -> None:
    os.mkfifo(lock)
    with pytest.raises(UpdateError, match="no plain file"), exclusive(lock):
        pass
    with pytest.raises(UpdateError, match="No such file"), exclusive(tmp_path / "absent" / "lock"):
        pass

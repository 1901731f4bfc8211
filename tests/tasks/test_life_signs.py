"""A locked file tells whether a process lives, to whoever shares the kernel and the folder."""

import errno
import fcntl
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tasks import life_signs
from tasks.life_signs import KEPT_S, has_let_go, show_life
from tasks.processes import Process
from tests.tasks.processes import line, running

SHOWS_LIFE = """
    import json, os, sys, time
    from dataclasses import asdict
    from pathlib import Path
    from tasks.life_signs import show_life
    from tasks.processes import Process

    show_life(Path(sys.argv[1]))
    print(json.dumps(asdict(Process.this())), flush=True)
    if os.fork():
        sys.stdin.readline()
    while not Path(sys.argv[2]).exists():
        time.sleep(0.05)
"""


def test_a_process_shows_life_until_it_is_killed(tmp_path: Path) -> None:
    end = tmp_path / "end"
    with running(SHOWS_LIFE, tmp_path, end) as process:
        shown = Process(**json.loads(line(process)))
        assert has_let_go(tmp_path, shown) is False
        process.kill()
        process.wait()
        assert has_let_go(tmp_path, shown) is True  # its child lives on
        end.touch()


def test_a_process_shows_life_however_often_it_is_asked(tmp_path: Path) -> None:
    for _ in range(2):
        show_life(tmp_path)
        assert has_let_go(tmp_path, Process.this()) is False
    (path,) = (tmp_path / "alive").iterdir()
    code = "import fcntl, os, sys; fcntl.lockf(os.open(sys.argv[1], os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    asked = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert "BlockingIOError" in asked.stderr


@pytest.mark.parametrize("boot", ["another", ""])
def test_nothing_is_told_of_a_process_under_another_kernel(tmp_path: Path, boot: str) -> None:
    foreign = replace(Process.this(), boot=boot)
    free = life_signs._file(tmp_path, foreign)
    free.parent.mkdir()
    free.touch()
    assert has_let_go(tmp_path, foreign) is None


@pytest.mark.parametrize(
    ("error", "told"),
    [(BlockingIOError(), False), (PermissionError(), False), (OSError(errno.ENOLCK, ""), None)],
)
def test_a_volume_without_locks_tells_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, told: bool | None
) -> None:
    other = replace(Process.this(), pid=1)
    path = life_signs._file(tmp_path, other)
    path.parent.mkdir()
    path.touch()

    def refused(*_: object) -> None:
        raise error

    monkeypatch.setattr(fcntl, "lockf", refused)
    assert has_let_go(tmp_path, other) is told


def test_a_process_that_gets_no_lock_leaves_no_file_that_seems_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "lockf", refused)
    show_life(tmp_path)
    assert not list((tmp_path / "alive").iterdir())


def test_nothing_is_told_of_a_process_that_showed_nothing(tmp_path: Path) -> None:
    assert has_let_go(tmp_path, replace(Process.this(), pid=1)) is None


def test_a_home_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "alive").write_text("no folder")
    show_life(tmp_path)
    assert has_let_go(tmp_path, Process.this()) is None


def test_what_ended_processes_left_is_removed_after_a_day(tmp_path: Path) -> None:
    old, new = (life_signs._file(tmp_path, replace(Process.this(), pid=pid)) for pid in (1, 2))
    old.parent.mkdir()
    for path in (old, new):
        path.touch()
    os.utime(old, (old.stat().st_mtime - KEPT_S - 1,) * 2)
    show_life(tmp_path)
    assert not old.exists()
    assert new.exists()

"""Folders for temporary files: taken by libraries and children, gone at the end, and after a kill at the next start."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from tasks.store import scratch_folder
from tests.tasks.processes import line, running

HOLDER = """
    import sys, tempfile
    from pathlib import Path
    from tasks.workspace import Workspace

    with Workspace.at(Path(sys.argv[1])).scratch():
        Path(tempfile.mkdtemp(), "rows.npy").write_bytes(b"a customer's")
        print("written", flush=True)
        sys.stdin.readline()
    print("left", flush=True)
"""


def files_in(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


def test_libraries_and_children_write_there_and_nothing_stays(tmp_path: Path) -> None:
    child = [sys.executable, "-c", "import tempfile; print(tempfile.mkdtemp())"]
    with scratch_folder(tmp_path / "tmp") as folder:
        made = [tempfile.mkdtemp(), subprocess.run(child, capture_output=True, text=True, check=True).stdout.strip()]
        assert [Path(each).parent for each in made] == [folder, folder]
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("variable", [None, "/var/tmp"])
def test_the_folder_of_before_counts_again_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str | None
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.delenv("TMPDIR", raising=False)
    if variable:
        monkeypatch.setenv("TMPDIR", variable)
    with pytest.raises(KeyError), scratch_folder(tmp_path):
        raise KeyError("inside")
    assert (tempfile.tempdir, os.environ.get("TMPDIR")) == (None, variable)
    assert list(tmp_path.iterdir()) == []


def test_the_newest_open_block_counts_in_whatever_order_they_end(tmp_path: Path) -> None:
    before = tempfile.gettempdir()
    first, second = scratch_folder(tmp_path), scratch_folder(tmp_path)
    outer = first.__enter__()
    inner = second.__enter__()
    assert tempfile.gettempdir() == str(inner)
    first.__exit__(None, None, None)
    assert tempfile.gettempdir() == str(inner) and inner.is_dir() and not outer.exists()
    second.__exit__(None, None, None)
    assert tempfile.gettempdir() == before


def test_an_inner_block_leaves_the_outer_ones_folder_alone(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as outer:
        with scratch_folder(tmp_path):
            assert outer.is_dir()
        assert tempfile.gettempdir() == str(outer) and outer.is_dir()


def test_a_killed_process_leaves_files_until_the_next_start_and_a_living_one_keeps_them(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with running(HOLDER, home) as killed, running(HOLDER, home) as living:
        assert (line(killed), line(living)) == ("written", "written")
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert files_in(home / "tmp") == ["rows.npy"] * 2, "the kill did not hit while the file was there"
        with scratch_folder(home / "tmp"):
            assert files_in(home / "tmp") == ["rows.npy"]
        said, _ = living.communicate("leave\n")
        assert said == "left\n"
    assert list((home / "tmp").iterdir()) == []


def test_threads_that_start_and_end_beside_each_other_leave_nothing(tmp_path: Path) -> None:
    before, meet = tempfile.gettempdir(), threading.Barrier(4)

    def work() -> None:
        with scratch_folder(tmp_path):
            meet.wait(10)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert (list(tmp_path.iterdir()), tempfile.gettempdir()) == ([], before)

import json
import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from edge_runtime.measurement.child_process import run_child
from tests.edge_runtime.processes import is_alive, wait_until


def _shell(script: str, folder: Path, timeout_s: float = 10.0) -> tuple[int | None, str]:
    ended = run_child(["/bin/sh", "-c", script], folder, {"PATH": os.environ["PATH"]}, timeout_s)
    return ended.returncode, ended.last_lines


def test_the_return_code_and_the_last_lines_are_kept(tmp_path: Path) -> None:
    script = "for n in 1 2 3 4 5 6 7; do echo line $n >&2; done; exit 7"
    assert _shell(script, tmp_path) == (7, "line 3\nline 4\nline 5\nline 6\nline 7")


def test_a_signal_is_below_zero(tmp_path: Path) -> None:
    assert _shell("kill -SEGV $$", tmp_path) == (-signal.SIGSEGV, "")


def test_endless_words_are_cut(tmp_path: Path) -> None:
    _, words = _shell("head -c 100000 /dev/zero | tr '\\0' 'x' >&2", tmp_path)
    assert len(words) == 4096


def test_the_environment_is_exactly_what_was_given(tmp_path: Path) -> None:
    code = "import json, os, sys; json.dump(sorted(os.environ), sys.stderr)"
    ended = run_child([sys.executable, "-I", "-c", code], tmp_path, {"ONLY": "1"}, 10)
    assert set(json.loads(ended.last_lines)) - {"LC_CTYPE"} == {"ONLY"}


def test_a_time_out_kills_the_child_and_what_it_started(tmp_path: Path) -> None:
    alive: list[bool] = []

    def look() -> None:
        wait_until(lambda: (tmp_path / "ready").exists())
        alive.extend(is_alive(int((tmp_path / name).read_text())) for name in ("child", "grandchild"))

    looker = threading.Thread(target=look)
    looker.start()
    script = "sleep 60 & echo $! >grandchild; echo $$ >child; echo waiting >&2; touch ready; wait"
    assert _shell(script, tmp_path, timeout_s=1.0) == (None, "waiting")
    looker.join()
    assert alive == [True, True], "the child was not running when its time ran out"
    for name in ("child", "grandchild"):
        pid = int((tmp_path / name).read_text())
        wait_until(lambda pid=pid: not is_alive(pid))  # type: ignore[misc]


def test_a_command_that_is_not_there_cannot_be_started(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        run_child([str(tmp_path / "absent")], tmp_path, {}, 1)

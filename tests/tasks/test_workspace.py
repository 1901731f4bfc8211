"""Places, and the lock that lets one run at a time work on a model."""

import signal
import threading
import time
from pathlib import Path

import pytest
from pydantic import ValidationError

from tasks.workspace import Workspace
from tests.tasks.processes import line, running

HOLDER = """
    import sys
    from pathlib import Path
    from tasks.workspace import Workspace

    with Workspace.at(Path(sys.argv[1])).exclusive("digits"):
        print("held", flush=True)
        sys.stdin.readline()
    print("freed", flush=True)
"""


def test_a_workspace_is_one_folder_by_default(tmp_path: Path) -> None:
    workspace = Workspace.at(tmp_path)
    assert workspace.tracking_uri == f"sqlite:///{tmp_path}/mlflow/mlflow.db"
    assert workspace.target == tmp_path / "target"
    assert workspace.store.root == tmp_path / "store"


def test_places_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    workspace = Workspace.at(Path("home"), target=Path("out"))
    assert (workspace.home, workspace.target) == (tmp_path / "home", tmp_path / "out")


def test_the_environment_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEWRIGHT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    monkeypatch.setenv("EDGEWRIGHT_TARGET", str(tmp_path / "target"))
    assert Workspace.from_environment() == Workspace(
        home=tmp_path / "home", tracking_uri="http://127.0.0.1:5000", target=tmp_path / "target"
    )


def test_an_empty_environment_is_the_embedded_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    monkeypatch.delenv("EDGEWRIGHT_HOME", raising=False)
    monkeypatch.delenv("EDGEWRIGHT_TARGET", raising=False)
    assert Workspace.from_environment() == Workspace.at(tmp_path / ".edgewright")


def test_a_place_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        Workspace(home=tmp_path, tracking_uri="sqlite:///x", target=tmp_path, cache=tmp_path)  # type: ignore[call-arg]


class Waiter:
    """Waits for the lock in a thread; says when it got it."""

    def __init__(self, home: Path) -> None:
        self.got = threading.Event()
        self.thread = threading.Thread(target=self._wait, args=(home,), daemon=True)
        self.thread.start()

    def _wait(self, home: Path) -> None:
        with Workspace.at(home).exclusive("digits"):
            self.got.set()


def test_the_lock_excludes_other_processes_until_it_is_let_go(tmp_path: Path) -> None:
    with running(HOLDER, tmp_path) as holder:
        assert line(holder) == "held"
        waiter = Waiter(tmp_path)
        assert not waiter.got.wait(0.3)
        said, _ = holder.communicate("let go\n")
        assert said == "freed\n"
        assert waiter.got.wait(10)
        waiter.thread.join(10)


def test_a_kill_frees_the_lock(tmp_path: Path) -> None:
    with running(HOLDER, tmp_path) as holder:
        assert line(holder) == "held"
        waiter = Waiter(tmp_path)
        assert not waiter.got.wait(0.3)
        holder.send_signal(signal.SIGKILL)
        assert holder.wait() == -signal.SIGKILL
        assert waiter.got.wait(10)
        waiter.thread.join(10)


def test_another_model_has_a_lock_of_its_own(tmp_path: Path) -> None:
    started = time.monotonic()
    workspace = Workspace.at(tmp_path)
    with workspace.exclusive("digits"), workspace.exclusive("shuttle"):
        assert time.monotonic() - started < 5


def test_taking_the_lock_removes_what_killed_processes_left(tmp_path: Path) -> None:
    workspace = Workspace.at(tmp_path)
    leftover = workspace.store.root / "prune" / ".tmp-key-00aa"
    leftover.mkdir(parents=True)
    with workspace.exclusive("digits"):
        assert not leftover.exists()


def test_an_error_inside_frees_the_lock(tmp_path: Path) -> None:
    workspace = Workspace.at(tmp_path)
    with pytest.raises(KeyError), workspace.exclusive("digits"):
        raise KeyError("inside")
    waiter = Waiter(tmp_path)
    assert waiter.got.wait(10)
    waiter.thread.join(10)

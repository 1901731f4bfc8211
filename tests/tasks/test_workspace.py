"""Places, and the lock that lets one run at a time work on a model."""

import base64
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from pydantic import ValidationError

from tasks.errors import RegistryError
from tasks.registry import Upstream
from tasks.workspace import Workspace
from tests.tasks.http import answering
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


def test_a_target_may_be_a_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEWRIGHT_HOME", str(tmp_path))
    monkeypatch.setenv("EDGEWRIGHT_TARGET", "s3://bucket/prefix")
    workspace = Workspace.from_environment()
    assert (workspace.bucket, workspace.published) == ("s3://bucket/prefix", "s3://bucket/prefix")
    assert Workspace.model_validate_json(workspace.model_dump_json()) == workspace
    monkeypatch.setenv("EDGEWRIGHT_TARGET", str(tmp_path / "target"))
    assert Workspace.from_environment().published == str(tmp_path / "target")


def test_an_empty_environment_is_the_embedded_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    monkeypatch.delenv("EDGEWRIGHT_HOME", raising=False)
    monkeypatch.delenv("EDGEWRIGHT_TARGET", raising=False)
    assert Workspace.from_environment() == Workspace.at(tmp_path / ".edgewright")


def test_a_place_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        Workspace(home=tmp_path, tracking_uri="sqlite:///x", target=tmp_path, cache=tmp_path)  # type: ignore[call-arg]


@pytest.fixture
def _no_login(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(name, "")  # what the code under test sets is taken back too


@pytest.mark.usefixtures("_no_login")
@pytest.mark.parametrize(
    ("address", "clean", "password"),
    [
        ("http://alice:s3cr3t@host:5000", "http://host:5000", "s3cr3t"),
        ("https://alice:s%2F3%40t@host/mlflow", "https://host/mlflow", "s/3@t"),
        ("http://alice:s3@cr3t@host", "http://host", "s3@cr3t"),
        ("http://host:5000", "http://host:5000", ""),
        ("sqlite:////home/alice:a@b/mlflow.db", "sqlite:////home/alice:a@b/mlflow.db", ""),
        ("postgresql://alice:s3cr3t@host/db", "postgresql://host/db", ""),
    ],
)
def test_a_login_in_the_address_goes_to_where_mlflow_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, clean: str, password: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    workspace = Workspace.from_environment()
    assert (workspace.tracking_uri, os.environ["MLFLOW_TRACKING_URI"]) == (clean, clean)
    assert Workspace.at(tmp_path, address).tracking_uri == clean
    assert os.environ["MLFLOW_TRACKING_PASSWORD"] == password


@pytest.mark.usefixtures("_no_login")
@pytest.mark.parametrize(
    "address",
    ["http://t0k3n@host", "http://:t0k3n@host", "http://a:t0/k3n@host", "http://host?token=t0k3n", "http://host#t0k3n"],
)
def test_an_address_with_half_a_login_or_a_query_is_refused_without_showing_it(tmp_path: Path, address: str) -> None:
    with pytest.raises(
        RegistryError, match=r"expected the http\(s\) address of an MLflow server, .* half a login; put user"
    ) as caught:
        Workspace.at(tmp_path, address)
    assert "k3n" not in str(caught.value)


@pytest.mark.usefixtures("_no_login")
def test_the_login_reaches_the_server(tmp_path: Path) -> None:
    with answering(b'{"registered_model": {"name": "m"}}') as (address, headers):
        workspace = Workspace.at(tmp_path, address.replace("://", "://alice:s3cr3t@"))
        assert Upstream(workspace.tracking_uri).versions("m") == []
    expected = base64.b64encode(b"alice:s3cr3t").decode()
    assert headers and {sent["Authorization"] for sent in headers} == {f"Basic {expected}"}


def test_a_workspace_is_not_made_of_an_address_with_a_login(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="expected an address without user and password; put them") as caught:
        Workspace(home=tmp_path, tracking_uri="http://alice:s3cr3t@host", target=tmp_path)
    assert "s3cr3t" not in str(caught.value)


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

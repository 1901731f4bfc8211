"""The embedded Prefect server: it is there for the flows, and gone with the process that started it."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.prefect_api import start_prefect
from tests.edge_runtime.processes import is_alive, wait_until
from tests.tasks.processes import line, running

pytestmark = pytest.mark.end_to_end

RUNS = """
    import os, sys, threading
    from pathlib import Path
    from flows.environment import prepare

    for name in ("PREFECT_API_URL", "PREFECT_HOME"):
        os.environ.pop(name, None)
    prepare(Path(sys.argv[1]))
    from flows.prefect_api import start_prefect

    started = []
    thread = threading.Thread(target=lambda: started.append(start_prefect()))
    thread.start()
    thread.join()
    print("started", flush=True)
    sys.stdin.readline()
    try:
        started[0]()
        from prefect import flow
        print(flow(lambda: "ran", name="runs")(), flush=True)
        sys.stdin.readline()
    except Exception as error:
        print(f"{type(error).__name__}: {error}", flush=True)
"""


def server_of(home: Path) -> int:
    """The one server of this home; the kernel shows its environment a moment after its start."""
    wait_until(lambda: bool(list(servers(home))))
    [found] = servers(home)
    return found


def servers(home: Path) -> Iterator[int]:
    """Processes that run an embedded server of this home."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command, environment = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
        except OSError:  # it has ended, or is somebody else's
            continue
        if b"prefect_server.py" in command and f"PREFECT_HOME={home}/prefect\0".encode() in environment:
            yield int(folder.name)


def test_a_flow_runs_on_it_and_a_kill_of_its_parent_ends_it(tmp_path: Path) -> None:
    with running(RUNS, tmp_path) as process:
        assert line(process) == "started"
        server = server_of(tmp_path)
        process.stdin.write("go\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
        assert line(process) == "ran"  # the thread that started it has ended: that alone ends nothing
        process.send_signal(signal.SIGKILL)
        wait_until(lambda: not is_alive(server), seconds=15)


def test_a_kill_while_it_starts_ends_it_too(tmp_path: Path) -> None:
    with running(RUNS, tmp_path) as process:
        assert line(process) == "started"
        server = server_of(tmp_path)
        process.send_signal(signal.SIGKILL)
        wait_until(lambda: not is_alive(server), seconds=15)


def test_a_server_that_cannot_start_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_DATABASE_CONNECTION_URL", f"sqlite+aiosqlite:///{tmp_path}/missing/folder/x.db")
    with running(RUNS, tmp_path) as process:
        said, _ = process.communicate("go\n", timeout=60)
    assert "SystemFailure: Prefect's embedded server: expected it to be healthy within 300 s, got its end with" in said
    assert f"see {tmp_path}/prefect/server.log, or set PREFECT_API_URL" in said
    assert not list(servers(tmp_path))


def test_a_server_of_the_users_own_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    start_prefect()()
    assert not list(tmp_path.iterdir())

"""The supervisor with small real processes."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from flows.services.leftovers import marked
from flows.services.secret_files import make_secret, read_secret
from flows.services.service_states import ServiceState, read_states
from flows.services.supervisor import Supervisor
from flows.services.table import COMPLETED, ENCRYPTION_KEY, HEALTHY, WEBHOOK_SECRET, Service
from tests.edge_runtime.processes import is_alive, wait_until
from tests.flows.services.sites import SERVE, free_ports, one_shot, server

PATIENCE_S = 60


def supervised(
    folder: Path, table: list[Service], then: Callable[[], None], inherited: Mapping[str, str] = os.environ
) -> None:
    """Supervise services until `then`, which runs beside, returns."""

    async def run() -> None:
        stop = asyncio.Event()
        supervising = asyncio.create_task(Supervisor(folder, table, inherited).run(stop))
        try:
            await asyncio.to_thread(then)
        finally:
            stop.set()
            await supervising

    asyncio.run(run())


def state(folder: Path, name: str) -> ServiceState:
    return read_states(folder)[name]


def wait_for(folder: Path, table: list[Service]) -> None:
    wait_until(lambda: all(state(folder, each.name).is_ready(each) for each in table), seconds=PATIENCE_S)


def test_services_start_in_their_order(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    asked = f"import urllib.request as web; web.urlopen('http://127.0.0.1:{port}/'); open({str(tmp_path / 'a')!r}, 'x')"
    looked = f"open({str(tmp_path / 'a')!r})"
    table = [
        server("first", port),
        replace(one_shot("second", asked), after={"first": HEALTHY}),
        replace(one_shot("third", looked), after={"second": COMPLETED}),
    ]
    supervised(tmp_path, table[::-1], lambda: wait_for(tmp_path, table))
    assert [state(tmp_path, each.name).restarts for each in table] == [0, 0, 0]


def test_what_dies_is_started_again_without_what_it_left(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    child = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {SERVE!r}, *sys.argv[1:]]).wait()"
    table = [server("parent", port, child)]

    def kill_the_parent_alone() -> None:
        wait_for(tmp_path, table)
        before = state(tmp_path, "parent").pid
        assert before is not None
        left = [pid for pid in marked(tmp_path) if pid != before]
        assert left
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: state(tmp_path, "parent").restarts == 1, seconds=PATIENCE_S)
        wait_until(lambda: not any(map(is_alive, left)))  # it would keep the port
        wait_for(tmp_path, table)
        assert state(tmp_path, "parent").pid != before
        assert state(tmp_path, "parent").last_code == -signal.SIGKILL

    supervised(tmp_path, table, kill_the_parent_alone)


def test_one_that_does_one_thing_is_repeated_until_it_is_done(tmp_path: Path) -> None:
    program = (
        f"open({str(tmp_path / 'tried')!r}, 'a').write('x'); exit(len(open({str(tmp_path / 'tried')!r}).read()) < 3)"
    )
    table = [one_shot("once", program)]
    supervised(tmp_path, table, lambda: wait_for(tmp_path, table))
    assert (tmp_path / "tried").read_text() == "xxx"
    assert state(tmp_path, "once").restarts == 2


def test_a_command_that_is_not_there_keeps_no_other_waiting(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    missing = Service(name="missing", purpose="", command=("no-such-program",), environment={})
    table = [server("good", port)]

    def look() -> None:
        wait_for(tmp_path, table)
        wait_until(lambda: state(tmp_path, "missing").restarts > 0, seconds=PATIENCE_S)

    supervised(tmp_path, [missing, *table], look)


def test_a_service_that_no_longer_answers_is_shown_so(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    table = [server("stopped", port)]

    def stop_it() -> None:
        wait_for(tmp_path, table)
        pid = state(tmp_path, "stopped").pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: state(tmp_path, "stopped").state == "silent", seconds=PATIENCE_S)
        os.kill(pid, signal.SIGCONT)
        wait_for(tmp_path, table)

    supervised(tmp_path, table, stop_it)


def test_all_end_even_those_that_have_left_their_group_or_heed_no_signal(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    parent = (
        f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {deaf!r}], start_new_session=True)\n{SERVE}"
    )
    table = [server("parent", port, parent)]
    seen = set[int]()

    def look() -> None:
        wait_for(tmp_path, table)
        wait_until(lambda: len(set(marked(tmp_path))) == 2, seconds=PATIENCE_S)
        seen.update(marked(tmp_path))

    supervised(tmp_path, table, look)
    assert len(seen) == 2 and not any(map(is_alive, seen))
    assert state(tmp_path, "parent").state == "stopped"


def test_a_secret_reaches_its_own_service_alone(tmp_path: Path) -> None:
    show = "import os, sys; open(sys.argv[1], 'w').write(repr(dict(os.environ)))"
    table = [
        Service(name=name, purpose="", command=(sys.executable, "-c", show, str(tmp_path / name)),
                environment={"PREFECT_HOME": "ours"}, secrets=secrets)
        for name, secrets in {"key": (ENCRYPTION_KEY,), "file": (WEBHOOK_SECRET,), "none": ()}.items()
    ]  # fmt: skip
    theirs = {"PREFECT_API_URL": "theirs", "MLFLOW_TRACKING_PASSWORD": "theirs", "AWS_PROFILE": "kept"}
    supervised(tmp_path, table, lambda: wait_for(tmp_path, table), {**os.environ, **theirs})
    key = read_secret(make_secret(tmp_path / "secrets", ENCRYPTION_KEY))
    told = {name: (tmp_path / name).read_text() for name in ("key", "file", "none")}
    assert [name for name, text in told.items() if key in text] == ["key"]
    assert [name for name, text in told.items() if "EDGEWRIGHT_WEBHOOK_SECRET_FILE" in text] == ["file"]
    secret = read_secret(make_secret(tmp_path / "secrets", WEBHOOK_SECRET))
    assert not any(secret in text for text in told.values())
    for text in told.values():
        assert "theirs" not in text and "'AWS_PROFILE': 'kept'" in text and "'PREFECT_HOME': 'ours'" in text

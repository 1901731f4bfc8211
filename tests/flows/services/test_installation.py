"""Start and end of the services of a home, as far as it needs no server; tests/end_to_end runs the servers."""

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from deployments.errors import ConfigurationError
from flows.services.installation import Installation
from flows.services.leftovers import MARK
from flows.services.site import Ports, Site, read_site, write_site
from tasks.errors import SystemFailure
from tests.edge_runtime.processes import is_alive, wait_until
from tests.flows.services.sites import free_ports, site_of


def test_a_site_is_read_as_it_was_written(tmp_path: Path) -> None:
    site = site_of(tmp_path)
    write_site(tmp_path, site)
    assert read_site(tmp_path) == site


def test_a_site_that_was_written_before_buckets_were_known_is_read(tmp_path: Path) -> None:
    site = site_of(tmp_path)
    write_site(tmp_path, site)
    content = json.loads((tmp_path / "site.json").read_text())
    del content["bucket"]
    (tmp_path / "site.json").write_text(json.dumps(content))
    assert read_site(tmp_path) == site


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"home": 1}'])
def test_a_site_that_cannot_be_read_is_one_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "site.json").write_text(content)
    with pytest.raises(SystemFailure, match=r"site.json: expected what edgewright up wrote, got \w+"):
        read_site(tmp_path)


def test_a_port_that_is_taken_is_told_before_anything_starts(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        site = replace(site_of(tmp_path), ports=replace(site_of(tmp_path).ports, prefect=port))
        with pytest.raises(SystemFailure, match=f"port {port}: expected it to be free for prefect"):
            installation.start(site)
    assert not installation.is_running() and not list(installation.folder.glob("*.log"))


def test_two_services_share_no_port(tmp_path: Path) -> None:
    port, *others = free_ports(3)
    site = replace(site_of(tmp_path), ports=Ports(port, port, *others))
    with pytest.raises(
        ConfigurationError, match=f"--port-prefect: expected a port of its own, got {port}, which mlflow has"
    ):
        Installation(tmp_path).start(site)


def test_what_a_killed_supervisor_left_is_ended_and_a_stale_number_of_a_process_does_no_harm(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    (installation.folder / "lock").write_text(f"{os.getpid()}\n")  # the number is this process's now
    environment = {**os.environ, MARK: str(installation.folder)}
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env=environment) as left:
        other = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(600)"],
            env={**os.environ, MARK: f"{installation.folder}-of-another"},
        )
        assert installation.stop()
        wait_until(lambda: not is_alive(left.pid))
        assert left.wait() == -signal.SIGTERM
        assert other.poll() is None
        other.kill()
        other.wait()
    assert not installation.stop()


def test_without_a_supervisor_no_old_state_is_shown(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    assert installation.site is None and installation.states == {}
    (installation.folder / "states.json").write_text('[{"name": "mlflow", "state": "healthy", "pid": 1}]')
    assert installation.states == {}


def test_other_settings_than_those_that_run_are_refused(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    site = site_of(tmp_path)
    write_site(installation.folder, site)
    with _held(installation.folder / "lock"):
        assert not installation.start(site)
        assert installation.is_running()
        for other in (replace(site, recipes=()), replace(site, ports=Ports())):
            with pytest.raises(ConfigurationError, match="run edgewright down, then edgewright up"):
                installation.start(other)


def test_a_supervisor_that_ends_is_told_with_its_last_words(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    (installation.folder / "supervisor.log").write_text("first\nno space left\n")
    with pytest.raises(
        SystemFailure, match="supervisor: expected it to keep the services, got the last words 'no space"
    ):
        installation.wait_until_ready(site_of(tmp_path), lambda _: None)


def test_a_home_has_its_own_site(tmp_path: Path) -> None:
    sites = [Site.of_home(home, home / "target", Ports(), ()) for home in (tmp_path / "a", tmp_path / "b")]
    assert sites[0] != sites[1] and not sites[0].serves_artifacts


class _held:  # noqa: N801 - it is used as a function
    """Another process that holds a lock."""

    def __init__(self, lock: Path) -> None:
        program = (
            "import fcntl, sys; f = open(sys.argv[1], 'a'); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); input()"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __enter__(self) -> None:
        assert self.process.stdout is not None
        self.process.stdout.readline()

    def __exit__(self, *_: object) -> None:
        self.process.communicate()

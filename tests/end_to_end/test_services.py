"""`edgewright up` and `down` on one machine: real servers, killed one by one and all at once."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from flows.services.installation import Installation
from flows.services.leftovers import marked
from flows.services.service_states import ServiceState
from flows.services.site import Ports
from flows.services.table import services
from tests.edge_runtime.processes import is_alive, wait_until
from tests.flows.services.sites import free_ports

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(1500)]  # a machine that is ten times busier
RECIPE = "tests/end_to_end/tiny/recipes/tiny.yaml"
RESTART_S = 240
ALWAYS = ("mlflow", "prefect", "worker", "watch")


@dataclass
class Home:
    """A home with the services of its own."""

    path: Path
    ports: Ports

    @property
    def installation(self) -> Installation:
        return Installation(self.path)

    def run(self, *arguments: str) -> str:
        """Run the command line and return what it says; AssertionError where it fails."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "MLFLOW_"))}
        environment |= {"EDGEWRIGHT_HOME": str(self.path), "PYTHONPATH": str(Path.cwd())}
        command = [sys.executable, "-c", "from flows.cli import main; main()", *arguments]
        ended = subprocess.run(command, env=environment, text=True, capture_output=True, timeout=700, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def up(self) -> str:
        """Start everything on the ports of this home."""
        ports = [f"--port-{name}={port}" for name, port in asdict(self.ports).items()]
        return self.run("up", "--recipe", RECIPE, *ports)

    def states(self) -> dict[str, ServiceState]:
        return self.installation.states

    def pids(self) -> dict[str, int]:
        return {name: state.pid for name, state in self.states().items() if state.pid is not None}

    def all_work(self) -> bool:
        site, states = self.installation.site, self.states()
        return site is not None and bool(states) and all(states[each.name].is_ready(each) for each in services(site))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home whose services run."""
    home = Home(tmp_path_factory.mktemp("home"), Ports(*free_ports(4)))
    home.up()
    yield home
    home.installation.stop()


def test_up_again_changes_nothing_and_shows_the_same(home: Home) -> None:
    before = home.pids()
    assert set(before) == set(ALWAYS)
    said = home.run("up")  # with the ports and recipes of the last time
    assert "They ran already" in said and f"http://127.0.0.1:{home.ports.mlflow}" in said
    assert home.pids() == before
    shown = home.run("status")
    assert all(name in shown and str(pid) in shown for name, pid in before.items())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["watch", "worker", "prefect", "mlflow"])
def test_each_killed_alone_comes_back_and_the_others_stay(home: Home, name: str) -> None:
    before = home.pids()
    os.kill(before[name], signal.SIGKILL)
    wait_until(lambda: home.pids().get(name) not in {None, before[name]}, RESTART_S)
    wait_until(home.all_work, RESTART_S)
    assert home.states()[name].last_code == -signal.SIGKILL
    others = {other: pid for other, pid in before.items() if other not in {name, "worker"}}
    assert others.items() <= home.pids().items()


def test_all_killed_at_once_come_back(home: Home) -> None:
    before = home.pids()
    for pid in list(marked(home.installation.folder)):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not set(home.pids().values()) & set(before.values()), RESTART_S)
    wait_until(home.all_work, RESTART_S)


def test_after_a_kill_of_the_supervisor_too_up_starts_all_again_and_down_leaves_no_process(home: Home) -> None:
    left = set(marked(home.installation.folder))
    supervisor = int((home.installation.folder / "lock").read_text())
    assert len(left) >= len(ALWAYS) and supervisor not in left
    os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: not home.installation.is_running(), 30)
    assert "Started" in home.run("up")
    assert home.all_work() and not any(map(is_alive, left))
    left = {*marked(home.installation.folder), int((home.installation.folder / "lock").read_text())}
    assert "All services ended" in home.run("down")
    assert not any(map(is_alive, left)) and not list(marked(home.installation.folder))
    assert "No service ran" in home.run("down")

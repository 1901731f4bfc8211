"""More than one machine, on one: PostgreSQL, S3, the servers, two workers with separate homes, and a watcher.

The servers are those of docker/compose.yaml, with other databases. The worker `far` has a host name of its own, so that
the others see it as another machine: whether its processes live can then be told by their heartbeats alone.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx

from tests.docker.compose import Service
from tests.docker.dockerfiles import ROOT
from tests.edge_runtime.processes import wait_until
from tests.end_to_end.scale.postgres import Postgres
from tests.end_to_end.servers import Stack, processes_of

BUCKET = "edgewright"
MACHINES = ("near", "far")
AWAY = "far.example"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


class Cluster(Stack):
    """The services of compose.yaml on PostgreSQL and S3, with a worker and a home for each of two machines."""

    def __init__(self, root: Path, database: Postgres, s3: str, recipes: Sequence[str]) -> None:
        super().__init__(root)
        self.target = root / "target"
        stored = {
            "MLFLOW_BACKEND_STORE_URI": database.address("psycopg2", "mlflow"),
            "MLFLOW_ARTIFACTS_DESTINATION": f"s3://{BUCKET}/artifacts",
            "MLFLOW_S3_ENDPOINT_URL": s3,
        }
        self._change("mlflow", KEYS | stored, without=("--backend-store-uri", "--artifacts-destination"))
        state = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": database.address("asyncpg", "prefect")}
        self._change("prefect", state)
        for machine in MACHINES:
            self.services[machine] = self._machine(machine)
        self.services["watcher"] = self._watcher(recipes)

    def home(self, machine: str) -> Path:
        """Return the EDGEWRIGHT_HOME of a machine's worker."""
        return self.root / machine

    def kill(self, machine: str) -> int:
        """Kill a machine's worker with all that it has started; return the number of processes."""
        found = list(processes_of(self.home(machine)))
        for pid in found:
            os.kill(pid, signal.SIGKILL)
        self.processes[machine].wait()
        return len(found)

    def _change(self, name: str, variables: dict[str, str], without: tuple[str, ...] = ()) -> None:
        service = self.services[name]
        command = tuple(word for word in service.command if not word.startswith(without or ("\0",)))
        self.services[name] = replace(service, command=command, environment={**service.environment, **variables})

    def _machine(self, name: str) -> Service:
        worker, port = self.services["worker"], str(free_port())
        own = {
            "EDGEWRIGHT_HOME": str(self.home(name)),
            "EDGEWRIGHT_TARGET": str(self.target),
            "PREFECT_HOME": str(self.home(name) / "prefect"),
            "PREFECT_WORKER_WEBSERVER_PORT": port,
        }
        before = worker.environment["PREFECT_WORKER_WEBSERVER_PORT"]
        check = worker.healthcheck and tuple(word.replace(f":{before}/", f":{port}/") for word in worker.healthcheck)
        command = on_another_machine(worker.command) if name == "far" else worker.command
        return replace(worker, name=name, command=command, environment={**worker.environment, **own}, healthcheck=check)

    def _watcher(self, recipes: Sequence[str]) -> Service:
        named = [word for recipe in recipes for word in ("--recipe", recipe)]
        run = (sys.executable, "-c", "from flows.cli import main; main()", "watch", "--seconds", "2", *named)
        watched = {**self.services["worker"].environment, "EDGEWRIGHT_HOME": str(self.root / "watch")}
        return replace(self.services["worker"], name="watcher", command=run, environment=watched, healthcheck=None)


def on_another_machine(command: Sequence[str]) -> tuple[str, ...]:
    """Return a command that runs under another host name: in a UTS namespace of its own, as root or in a user's."""
    own = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    return ("unshare", *own, "--uts", "sh", "-c", f'hostname {AWAY}; exec "$@"', "sh", *command)


def can_be_elsewhere() -> bool:
    """Tell whether this user may give a process a host name of its own."""
    try:
        asked = subprocess.run(on_another_machine(["hostname"]), capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return False
    return asked.stdout.strip() == AWAY


@contextmanager
def s3_server(port: int, log: Path) -> Iterator[str]:
    """Run moto's S3 in a process of its own, with the bucket; yield its address."""
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with log.open("wb") as written:
        process = subprocess.Popen(command, cwd=ROOT, stdout=written, stderr=written)
    try:
        wait_until(lambda: _made(f"{address}/{BUCKET}"), seconds=60)
        yield address
    finally:
        process.kill()
        process.wait()


def _made(bucket: str) -> bool:
    try:
        return httpx.put(bucket, trust_env=False, timeout=10).is_success
    except httpx.HTTPError:
        return False


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])

"""docker/compose.yaml without an engine: its services as processes of this machine, on free loopback ports.

Commands, environments, health checks and the order are the file's. What differs is where: `/var/lib` is a temporary
folder, host names are 127.0.0.1 and ports are free ones.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

from cryptography.fernet import Fernet

from tests.docker.compose import Service, read_services
from tests.docker.dockerfiles import ROOT

PORTS = ("5000", "4200", "8080", "8765")
START_SECONDS = 600
STOP_SECONDS = 15


class ServerError(Exception):
    """A service did not start, or did not do its work."""


class Stack:
    """The services of compose.yaml below one folder; each is started once, after what it depends on."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._secrets = defaultdict[str, str](lambda: Fernet.generate_key().decode())
        self.services = {name: self._native(service) for name, service in read_services().items()}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        for name in ("edgewright", "mlflow", "prefect"):
            (root / "var/lib" / name).mkdir(parents=True)

    @property
    def mlflow(self) -> str:
        """Address of the MLflow server."""
        return f"http://127.0.0.1:{self._ports['5000']}"

    @property
    def prefect(self) -> str:
        """Address of the Prefect API."""
        return f"http://127.0.0.1:{self._ports['4200']}/api"

    @property
    def workspace(self) -> Path:
        """The worker's EDGEWRIGHT_HOME."""
        return Path(self.services["worker"].environment["EDGEWRIGHT_HOME"])

    def complete(self, name: str) -> None:
        """Start a service that does one thing, and wait until it is done."""
        self.begin(name)
        self._wait_until_completed(self.services[name])

    def begin(self, name: str) -> None:
        """Start a service once all that it depends on is there; do not wait for the service itself."""
        if name in self.processes:
            return
        service = self.services[name]
        for other in service.depends_on:
            self.begin(other)
        for other, condition in service.depends_on.items():
            wait = self._wait_until_healthy if condition == "service_healthy" else self._wait_until_completed
            wait(self.services[other])
        self.processes[name] = self._spawn(service)

    def start(self, name: str) -> None:
        """Start a service and wait until it is healthy."""
        self.begin(name)
        self._wait_until_healthy(self.services[name])

    def log(self, name: str, lines: int = 40) -> str:
        """Return the last lines that a service wrote."""
        return "\n".join(self._log_file(name).read_text(errors="replace").splitlines()[-lines:])

    def stop(self) -> None:
        """Stop everything that was started, with all that it has started itself."""
        for process in self.processes.values():
            _ask_to_end(process)
        for process in self.processes.values():
            _see_off(process)
        for pid in processes_of(self.root):
            os.kill(pid, signal.SIGKILL)

    def _spawn(self, service: Service) -> subprocess.Popen[bytes]:
        with self._log_file(service.name).open("wb") as log:
            return subprocess.Popen(
                service.command, cwd=ROOT, env=service.environment, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def _wait_until_healthy(self, service: Service) -> None:
        if service.healthcheck is None:
            raise ServerError(f"{service.name}: expected a health check in compose.yaml to wait for, got none; add one")
        deadline = time.monotonic() + START_SECONDS
        while self.processes[service.name].poll() is None and time.monotonic() < deadline:
            check = subprocess.run(service.healthcheck, env=service.environment, capture_output=True, check=False)
            if check.returncode == 0:
                return
            time.sleep(1)
        raise ServerError(
            f"{service.name}: expected it to be healthy within {START_SECONDS} s, got:\n{self.log(service.name)}"
        )

    def _wait_until_completed(self, service: Service) -> None:
        code = self.processes[service.name].wait(START_SECONDS)
        if code:
            raise ServerError(f"{service.name}: expected exit code 0, got {code}:\n{self.log(service.name)}")

    def _native(self, service: Service) -> Service:
        home = self.root / "home" / service.name
        home.mkdir(parents=True)
        binaries = f"{Path(sys.executable).parent}:/usr/bin:/bin"
        image = {"HOME": str(home), "PATH": binaries, "PYTHONPATH": str(ROOT)}  # the image's code is this checkout's
        written = {key: self._text(value) for key, value in service.environment.items()}
        return Service(
            name=service.name,
            command=tuple(self._text(word) for word in service.command),
            environment=image | written,
            healthcheck=service.healthcheck and tuple(self._text(word) for word in service.healthcheck),
            depends_on=service.depends_on,
        )

    def _text(self, written: str) -> str:
        text = written.replace("/var/lib/", f"{self.root}/var/lib/").replace("0.0.0.0", "127.0.0.1")
        text = re.sub(r"\$\{(\w+):\?[^}]*\}", lambda secret: self._secrets[secret[1]], text)
        text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)  # what nobody has set
        text = re.sub(r"\b(mlflow|prefect|watch|localhost):(?=\d)", "127.0.0.1:", text)
        return re.sub(r"\b(" + "|".join(PORTS) + r")\b", lambda port: self._ports[port[0]], text)

    @cached_property
    def _ports(self) -> Mapping[str, str]:
        """A free port for each of the file's: all are held until every one is found, so that no two are the same."""
        sockets = [socket.socket() for _ in PORTS]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        found = {port: str(each.getsockname()[1]) for port, each in zip(PORTS, sockets, strict=True)}
        for each in sockets:
            each.close()
        return found

    def _log_file(self, name: str) -> Path:
        return self.root / f"{name}.log"


def _ask_to_end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)


def _see_off(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def processes_of(root: Path) -> Iterator[int]:
    """Yield the processes that have a folder in their environment: a worker's runs have groups of their own."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if str(root).encode() in (folder / "environ").read_bytes():
                yield int(folder.name)
        except OSError:  # it has ended, or is somebody else's
            continue

"""The services of one home: started under a supervisor, looked at, and ended.

The supervisor holds the lock of HOME/services as long as it lives, so the kernel says whether one runs, and a stale
number of a process does no harm.
"""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from deployments.errors import ConfigurationError
from flows.services.leftovers import end_marked
from flows.services.secret_files import make_secret
from flows.services.service_logs import keep_short, last_words, log_of
from flows.services.service_states import STATES, ServiceState, read_states
from flows.services.site import SITE, Ports, Site, read_site, write_site
from flows.services.table import services
from tasks.errors import SystemFailure

LOCK = "lock"
SUPERVISOR = "supervisor"
MODULE = "flows.services.supervisor"
START_S = 600.0
STOP_S = 150.0
KILL_S = 10.0
LOOK_S = 0.2
NONE = ServiceState("none")


class Installation:
    """The services of one home; everything of theirs is in HOME/services, which is made where it is missing."""

    def __init__(self, home: Path) -> None:
        self.folder = home.resolve() / "services"
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # Prefect's database is below, with its blocks

    @property
    def site(self) -> Site | None:
        """The site that the services were last started for; None where they never were."""
        return read_site(self.folder) if (self.folder / SITE).exists() else None

    @property
    def states(self) -> dict[str, ServiceState]:
        """The state of each service, by name; empty where no supervisor keeps them."""
        return read_states(self.folder) if self.is_running() else {}

    def is_running(self) -> bool:
        """Tell whether a supervisor keeps the services."""
        with self._lock() as lock:
            return lock is None

    def start(self, site: Site) -> bool:
        """Start the supervisor; False where one runs already, for the same site.

        What a killed one left behind is ended before. Raises ConfigurationError where services run for another site or
        where a secret is loose, SystemFailure where a port is taken.
        """
        with self._lock() as lock:
            if lock is None:
                if not (self.folder / SITE).exists():
                    raise SystemFailure(
                        f"{self.folder}: expected services that run, got others of edgewright up that are just "
                        "starting; say it again"
                    )
                if read_site(self.folder) != site:
                    raise ConfigurationError(
                        "ports and recipes: expected those that the services run with, got others; run edgewright "
                        "down, then edgewright up"
                    )
                return False
            os.ftruncate(lock, 0)  # the number of a process that is gone, as the states are of its services
            (self.folder / STATES).unlink(missing_ok=True)
            end_marked(self.folder)
            _check_ports(site.ports)
            for secret in {secret for service in services(site) for secret in service.secrets}:
                make_secret(self.folder / "secrets", secret)
            for each in (site.home, site.target, site.mlflow_folder, site.prefect_folder):
                each.mkdir(parents=True, exist_ok=True)
            write_site(self.folder, site)
            self._spawn(lock)
            return True

    def wait_until_ready(self, site: Site, seen: Callable[[dict[str, ServiceState]], None]) -> None:
        """Return once every service works; `seen` gets the states at each look. Raises SystemFailure."""
        deadline = time.monotonic() + START_S
        while True:
            running, states = self.is_running(), read_states(self.folder)
            seen(states)
            missing = [
                each for each in services(site) if each.name not in states or not states[each.name].is_ready(each)
            ]
            if running and not missing:
                return
            if not running:
                raise self._failed(SUPERVISOR, "to keep the services")
            if time.monotonic() > deadline:
                raise self._failed(missing[0].name, f"to work within {START_S:g} s")
            time.sleep(LOOK_S)

    def stop(self) -> bool:
        """End the supervisor and all that it started; False where nothing ran. Raises SystemFailure if it stays."""
        ran = False
        deadline = time.monotonic() + STOP_S
        while True:
            with self._lock() as lock:
                if lock is not None:
                    return bool(end_marked(self.folder)) or ran
            ran = True
            self._signal(signal.SIGKILL if time.monotonic() > deadline else signal.SIGTERM)
            if time.monotonic() > deadline + KILL_S:
                raise SystemFailure(
                    f"{self.folder / LOCK}: expected the supervisor to end, got none that does; find the process that "
                    "has this file open, and end it"
                )
            time.sleep(LOOK_S)

    def _failed(self, name: str, expected: str) -> SystemFailure:
        log = log_of(self.folder, name)
        said = last_words(log)
        return SystemFailure(
            f"{name}: expected it {expected}, got {'the last words ' + repr(said) if said else 'no sign of it'}; see "
            f"{log}, then run edgewright down and edgewright up"
        )

    @contextmanager
    def _lock(self) -> Iterator[int | None]:
        """Hold the lock of the folder; None where another has it."""
        descriptor = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            yield descriptor if _took(descriptor) else None
        finally:
            os.close(descriptor)

    def _signal(self, number: signal.Signals) -> None:
        """Send a signal to the supervisor that holds the lock, as soon as it has said who it is."""
        text = (self.folder / LOCK).read_text().strip()
        if text.isdigit() and self._is_supervisor(text):
            with suppress(ProcessLookupError):
                os.kill(int(text), number)

    def _is_supervisor(self, process: str) -> bool:
        """Tell whether a number is that of this folder's supervisor, and not of a process that got it later."""
        try:
            words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return MODULE.encode() in words and str(self.folder).encode() in words

    def _spawn(self, lock: int) -> None:
        """Start the supervisor, which takes the lock over: it is never free in between."""
        log = log_of(self.folder, SUPERVISOR)
        keep_short(log)
        with log.open("ab") as output:
            subprocess.Popen(
                [sys.executable, "-P", "-m", MODULE, str(self.folder), str(lock)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, pass_fds=[lock], start_new_session=True,
            )  # fmt: skip


def _took(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _check_ports(ports: Ports) -> None:
    """Raise SystemFailure for a port that is taken, ConfigurationError for one that two services would share."""
    by_port = dict[int, str]()
    for name, port in asdict(ports).items():
        if port in by_port:
            raise ConfigurationError(
                f"--port-{name}: expected a port of its own, got {port}, which {by_port[port]} has; choose another"
            )
        by_port[port] = name
        with socket.socket() as found:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do after a restart
            try:
                found.bind(("127.0.0.1", port))
            except OSError as error:
                raise SystemFailure(
                    f"port {port}: expected it to be free for {name}, got {error.strerror}; end the process that "
                    f"listens there, or choose another by --port-{name}"
                ) from error

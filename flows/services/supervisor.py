"""The supervisor: starts the services in their order, starts again what died, and writes down how each is.

`python -m flows.services.supervisor FOLDER LOCK` runs it. FOLDER holds the settings, states and logs; LOCK is the
number of an inherited descriptor that holds the folder's lock as long as the supervisor lives.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from flows.services.health import is_healthy
from flows.services.leftovers import MARK, end_group, end_marked
from flows.services.programs import with_path
from flows.services.secret_files import make_secret, read_secret
from flows.services.service_logs import keep_short, log_of
from flows.services.service_states import ServiceState, State, write_states
from flows.services.site import read_site
from flows.services.table import Service, services
from tasks.errors import one_line

logger = logging.getLogger("edgewright")
LOOK_S = 0.5
PATIENCE_S = 5.0
"""Seconds between two looks at a service that is healthy."""
STEADY_S = 60.0
"""Seconds after which a service that ran has forgotten its earlier ends."""
BACKOFF_S = (0.5, 1, 2, 5, 10)
STOP_S = 15.0
LOGS_S = 30.0
NOT_STARTED = -1
NOT_INHERITED = ("PREFECT_", "MLFLOW_", "EDGEWRIGHT_")


class Supervisor:
    """The services of one folder, each kept by a task of its own until all are stopped."""

    def __init__(self, folder: Path, table: Sequence[Service], inherited: Mapping[str, str]) -> None:
        self.folder = folder
        self.table = {service.name: service for service in table}
        self.states = {service.name: ServiceState(service.name) for service in table}
        self.processes: dict[str, asyncio.subprocess.Process] = {}
        self._inherited = dict(inherited)
        write_states(folder, self.states.values())

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the services until `stop`; then end them, the last one first."""
        keeping = [asyncio.create_task(self._keep(service)) for service in self.table.values()]
        logs = asyncio.create_task(self._keep_logs_short())
        await stop.wait()
        for task in (*keeping, logs):
            task.cancel()
        await asyncio.gather(*keeping, logs, return_exceptions=True)
        for name in reversed(self.table):
            await self._stop(name)
        await asyncio.to_thread(end_marked, self.folder)

    async def _keep(self, service: Service) -> None:
        """Run a service again and again, with pauses that grow; one that does one thing only until it has done it."""
        ends = 0
        while True:
            await self._until_ready(service)
            started = time.monotonic()
            code = await self._run_to_its_end(service)
            if service.once and code == 0:
                self._tell(service, "done", pid=None)
                return
            ends = 1 if time.monotonic() - started > STEADY_S else ends + 1
            restarts = self.states[service.name].restarts + 1
            self._tell(service, "waiting", pid=None, restarts=restarts, last_code=code)
            logger.warning("%s ended with exit code %d: it is started again", service.name, code)
            await asyncio.sleep(BACKOFF_S[min(ends, len(BACKOFF_S)) - 1])

    async def _until_ready(self, service: Service) -> None:
        """Return once all that a service waits for is there."""
        while not all(self.states[other].is_ready(self.table[other]) for other in service.after):
            await asyncio.sleep(LOOK_S)

    async def _run_to_its_end(self, service: Service) -> int:
        """Start a service and return its exit code; what it leaves of its process group is ended too."""
        try:
            process = await self._start(service)
        except Exception as error:  # a full disk, a secret that became loose: the others are kept
            logger.error("%s was not started: %s", service.name, one_line(error))
            return NOT_STARTED
        looking = asyncio.create_task(self._look(service))
        try:
            code = await process.wait()
        finally:
            looking.cancel()
        end_group(process.pid)
        self.processes.pop(service.name, None)  # its number may be another process's some day
        return code

    async def _start(self, service: Service) -> asyncio.subprocess.Process:
        with log_of(self.folder, service.name).open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *with_path(service.command), env=self._environment(service), stdin=asyncio.subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self.processes[service.name] = process
        self._tell(service, "starting", pid=process.pid)
        return process

    async def _look(self, service: Service) -> None:
        """Look after the health of a service while it runs."""
        while service.health is not None:
            healthy = await asyncio.to_thread(is_healthy, service.health)
            if healthy or self.states[service.name].state == "healthy":
                self._tell(service, "healthy" if healthy else "silent")
            await asyncio.sleep(PATIENCE_S if healthy else LOOK_S)

    async def _stop(self, name: str) -> None:
        process = self.processes.get(name)
        if process is not None:
            if process.returncode is None:
                process.terminate()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), STOP_S)
            end_group(process.pid)
        self._tell(self.table[name], "stopped", pid=None)

    async def _keep_logs_short(self) -> None:
        while True:
            for name in self.table:
                await asyncio.to_thread(keep_short, log_of(self.folder, name))
            await asyncio.sleep(LOGS_S)

    def _environment(self, service: Service) -> dict[str, str]:
        """Return the variables of a process: the user's own, the table's, and its own secrets alone."""
        own = {key: value for key, value in self._inherited.items() if key in service.inherited}
        others = {key: value for key, value in self._inherited.items() if not key.startswith(NOT_INHERITED)}
        given = {**others, **own, **service.environment, MARK: str(self.folder)}
        for secret in service.secrets:
            path = make_secret(self.folder / "secrets", secret)
            given |= {f"{secret.variable}_FILE": str(path)} if secret.by_file else {secret.variable: read_secret(path)}
        return given

    def _tell(self, service: Service, state: State, **changed: Any) -> None:
        """Write down the state of a service where it changed."""
        before = self.states[service.name]
        self.states[service.name] = replace(before, state=state, **changed)
        if self.states[service.name] != before:
            try:
                write_states(self.folder, self.states.values())
            except OSError as error:  # a full disk: the services matter more than their table
                logger.error("the states were not written: %s", one_line(error))


async def supervise(folder: Path) -> None:
    """Run the services of a folder until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await Supervisor(folder, services(read_site(folder)), os.environ).run(stop)


def main(folder: Path, lock: int) -> None:
    """Say who holds the lock, which no service inherits, and supervise."""
    os.set_inheritable(lock, False)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    asyncio.run(supervise(folder))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

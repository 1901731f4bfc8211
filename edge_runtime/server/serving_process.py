"""The serving process: a socket, a server in an event loop, notes to the service manager, and an orderly end."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

import uvicorn

from edge_runtime.errors import BadConfiguration
from edge_runtime.server.application import InferenceApplication
from edge_runtime.server.bounded_protocol import bounded
from edge_runtime.server.limits import ServerLimits
from edge_runtime.service_manager import notify
from edge_runtime.serving import ServedModels

logger = logging.getLogger("edgewright.server")
_BACKLOG = 512
_LOOK_S = 0.1
_WATCHES = 2.0
"""Notes to the watchdog within the time that it allows."""


@dataclass(frozen=True)
class ServerSettings:
    """The place and the bounds of a server.

    `port` 0 is a free one. Before it ends, the server answers `announced_s` seconds longer, though it says that it is
    not ready: what sends requests to it can look elsewhere first.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    limits: ServerLimits = field(default_factory=ServerLimits)
    announced_s: float = 0.0
    log_requests: bool = False


class OrderlyServer(uvicorn.Server):
    """uvicorn's server with this house's signals: it returns when it has ended, and does not raise the signal again."""

    def __init__(self, config: uvicorn.Config, application: InferenceApplication, announced_s: float) -> None:
        super().__init__(config)
        self._application, self._announced_s = application, announced_s

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End in order at the first signal, at once at the second."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled, number)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Wait as long as was announced, then take no connection any more, and let requests end."""
        until = time.monotonic() + self._announced_s
        while time.monotonic() < until and not self.force_exit:
            await asyncio.sleep(_LOOK_S)
        await super().shutdown(sockets)

    def _signalled(self, number: signal.Signals) -> None:
        logger.info("signal", extra={"told": {"signal": number.name}})
        if self.should_exit:
            self.force_exit = True
            for task in self.server_state.tasks:
                task.cancel()
        self._application.accepting = False
        self.should_exit = True
        notify("STOPPING=1")


def serve(models: AbstractAsyncContextManager[ServedModels], settings: ServerSettings) -> None:
    """Serve models until SIGTERM or SIGINT, whose end is orderly; a second one ends at once.

    `models` are opened inside the event loop; they may become ready later. Raises BadConfiguration where the address
    cannot be had, and whatever opening the models raises.
    """
    with _listening(settings.host, settings.port) as listening:
        asyncio.run(_serve(models, settings, listening))


async def _serve(
    models: AbstractAsyncContextManager[ServedModels], settings: ServerSettings, listening: socket.socket
) -> None:
    async with models as served:
        application = InferenceApplication(served, settings.limits, log_requests=settings.log_requests)
        address = listening.getsockname()
        logger.info("listening", extra={"told": {"host": address[0], "port": address[1]}})
        async with _manager_told(application, served):
            await make_server(application, settings).serve([listening])
    logger.info("ended")


def make_server(application: InferenceApplication, settings: ServerSettings) -> OrderlyServer:
    """Return the server of an application, which serves on the sockets that it is given."""
    limits = settings.limits
    config = uvicorn.Config(
        application,
        http=bounded(limits, application.metrics),
        loop="asyncio",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=limits.idle_s,
    )
    config.timeout_graceful_shutdown = limits.drain_s  # type: ignore[assignment]  # asyncio takes parts of seconds
    return OrderlyServer(config, application, settings.announced_s)


@contextlib.asynccontextmanager
async def _manager_told(application: InferenceApplication, models: ServedModels) -> AsyncIterator[None]:
    """Tell the service manager when every model is ready, and again and again that the event loop turns."""
    tasks = [asyncio.create_task(_tell_ready(application, models)), asyncio.create_task(_tell_alive())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()


async def _tell_ready(application: InferenceApplication, models: ServedModels) -> None:
    begun, told = time.monotonic(), ""
    while not application.is_ready():
        waiting = ", ".join(name for name in models.names() if not models.is_ready(name))
        if waiting != told:
            logger.info("not ready", extra={"told": {"models": waiting}})
            notify(f"STATUS=not ready: {waiting}")
            told = waiting
        await asyncio.sleep(_LOOK_S)
    logger.info("ready", extra={"told": {"seconds": round(time.monotonic() - begun, 3)}})
    notify("READY=1\nSTATUS=ready")


async def _tell_alive() -> None:
    """Send the watchdog its notes, where the service manager asked this process for them."""
    allowed = os.environ.get("WATCHDOG_USEC", "")
    if not allowed.isdigit() or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return
    while True:
        notify("WATCHDOG=1")
        await asyncio.sleep(int(allowed) / 1e6 / _WATCHES)


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """Yield a socket that is bound to an address. Raises BadConfiguration where that is not possible."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise BadConfiguration(f"--host {host}: expected an address of this machine, got {error.strerror}.") from error
    with listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(address)
        except OSError as error:
            raise BadConfiguration(
                f"--host {host} --port {port}: expected an address that is free, got {error.strerror}; choose another."
            ) from error
        listening.listen(_BACKLOG)  # who comes before the event loop does is kept
        yield listening

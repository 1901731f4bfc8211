"""The server below the receiver: it bounds the time and the places of clients, whom it does not know yet."""

import asyncio
import socket

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from tasks.errors import SystemFailure

ARRIVES_S = 10.0
"""Seconds in which a request must have arrived as a whole; an idle connection ends after them too."""
MOST_CONNECTIONS = 128
"""Connections beside each other; a further one takes the place of the oldest that still sends."""


class PatientProtocol(H11Protocol):
    """HTTP/1.1 for clients that may be slow or hostile: uvicorn alone waits forever for a request that never ends."""

    arrives_s = ARRIVES_S
    most_connections = MOST_CONNECTIONS

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection and give its request a time; where there are too many, the oldest unfinished one ends."""
        super().connection_made(transport)
        self._began = self.loop.time()
        self._end = self.loop.call_later(self.arrives_s, self._end_of_patience)
        there = [each for each in self.connections if isinstance(each, PatientProtocol) and not each.has_ended]
        if len(there) > self.most_connections:
            min((each for each in there if each.is_waiting), key=lambda each: each._began).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._end.cancel()
        super().connection_lost(exc)

    @property
    def is_waiting(self) -> bool:
        """True where the client has sent no whole request that is being answered."""
        return self.cycle is None or self.cycle.response_complete or self.cycle.more_body

    @property
    def has_ended(self) -> bool:
        """True where the connection was given up."""
        return self.transport.is_closing()

    def _end_of_patience(self) -> None:
        if self.is_waiting:
            self.transport.abort()
        else:
            self._end = self.loop.call_later(self.arrives_s, self._end_of_patience)


def webhook_server(app: Starlette) -> uvicorn.Server:
    """Return a server of an application, without WebSockets; serve it at a socket of `listening_at`.

    uvicorn's other parser of HTTP keeps headers of any size; this one keeps 16 KiB.
    """
    return uvicorn.Server(
        uvicorn.Config(
            app, http=PatientProtocol, ws="none", lifespan="off", proxy_headers=False, server_header=False,
            access_log=False, log_level="error",
        )
    )  # fmt: skip


def listening_at(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raises SystemFailure for an address that cannot be had."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=MOST_CONNECTIONS)
    except OSError as error:
        raise SystemFailure(
            f"--host {host} --port {port}: expected an address of this machine that is free, got {error.strerror}; "
            "choose another one, or end what listens there"
        ) from error

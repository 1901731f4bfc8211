"""uvicorn's HTTP connections with the bounds that it has not: for heads, stalled readers, and their number.

uvicorn waits without end for the head of a request and for a client that reads nothing, and says its own errors in
plain text.
"""

import asyncio
import json
from typing import cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from edge_runtime.server.limits import ServerLimits
from edge_runtime.server.server_metrics import ServerMetrics


class BoundedProtocol(H11Protocol):
    """One connection. `limits` and `metrics` are given by a subclass, which `bounded` makes."""

    limits: ServerLimits
    metrics: ServerMetrics
    _awaited_head: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None
    _unread = 0
    _turned_away = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a head, or turn a connection away that is one too many."""
        if len(self.connections) >= self.limits.connections:
            self.metrics.turned_away += 1
            self._turned_away = True
            cast(asyncio.Transport, transport).write(_refusal("The server has all the connections that it takes."))
            transport.close()
            return
        super().connection_made(cast(asyncio.Transport, transport))
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Take bytes; once a head is there, nothing waits for it any more."""
        if self._turned_away:
            return
        super().data_received(data)
        if self._is_answering():
            self._forget_head()
        elif self._awaited_head is None:
            self._await_head()

    def on_response_complete(self) -> None:
        """Go on, where the next head may be there already."""
        super().on_response_complete()
        if self._is_answering():
            self._forget_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget all timers."""
        if self._turned_away:
            return
        self._forget_head()
        self._forget_stall()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Begin to watch whether the client reads."""
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        """Stop watching."""
        super().resume_writing()
        self._forget_stall()

    def send_400_response(self, msg: str) -> None:
        """Say that what came is no HTTP, in the protocol's form, and close."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.write(_refusal(msg, b"400 Bad Request"))
        self.transport.close()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _await_head(self) -> None:
        self._awaited_head = self.loop.call_later(self.limits.head_s, self._no_head)

    def _forget_head(self) -> None:
        if self._awaited_head is not None:
            self._awaited_head.cancel()
            self._awaited_head = None

    def _no_head(self) -> None:
        self._awaited_head = None
        if not self._is_answering() and not self.transport.is_closing():
            self.transport.close()

    def _watch_reader(self) -> None:
        self._unread = self.transport.get_write_buffer_size()
        self._stalled = self.loop.call_later(self.limits.stalled_s, self._look_at_reader)

    def _look_at_reader(self) -> None:
        if self.transport.get_write_buffer_size() >= self._unread:
            self.transport.abort()
        else:
            self._watch_reader()

    def _forget_stall(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None


def bounded(limits: ServerLimits, metrics: ServerMetrics) -> type[BoundedProtocol]:
    """Return the class of connections with limits."""
    return type("Bounded", (BoundedProtocol,), {"limits": limits, "metrics": metrics})


def _refusal(message: str, status: bytes = b"503 Service Unavailable") -> bytes:
    body = json.dumps({"error": message}).encode()
    again = b"Retry-After: 1\r\n" if status.startswith(b"503") else b""
    return b"".join(
        (
            b"HTTP/1.1 ", status, b"\r\nContent-Type: application/json\r\nContent-Length: ", str(len(body)).encode(),
            b"\r\n", again, b"Connection: close\r\n\r\n", body,
        )
    )  # fmt: skip

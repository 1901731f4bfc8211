"""uvicorn's HTTP connections with the bounds that it has not: for heads, stalled readers, and their number.

uvicorn waits without end for the head of a request and for a client that reads nothing, keeps a head of any size, and
says its own errors in plain text. Its parser takes more than HTTP/1.1 allows; what others may read otherwise is refused.
"""

import asyncio
import json
from collections.abc import Sequence
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from edge_runtime.server.limits import ServerLimits
from edge_runtime.server.server_metrics import ServerMetrics


MOST_AHEAD = 64
"""Requests that a client may send before it has the answer to an earlier one."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection. `limits` and `metrics` are given by a subclass, which `bounded` makes."""

    limits: ServerLimits
    metrics: ServerMetrics
    _awaited_head: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None
    _unread = 0
    _in_head = False
    _head_began_now = False
    _head_bytes = 0
    _wrong = ""
    _deaf = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a head, or turn a connection away that is one too many."""
        if len(self.connections) >= self.limits.connections:
            self.metrics.turned_away += 1
            self._deaf = True
            cast(asyncio.Transport, transport).write(_refusal("The server has all the connections that it takes."))
            transport.close()
            return
        super().connection_made(cast(asyncio.Transport, transport))
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Take bytes; once a head is there, nothing waits for it any more."""
        if self._deaf:
            return
        self._head_began_now = False
        super().data_received(data)
        if self._in_head and not self._head_began_now and not self._deaf:
            self._head_bytes += len(data)  # of a header that has not ended, of which no callback tells
            if self._head_bytes > self.limits.head:
                self.send_400_response(self._too_large())
        if self._is_answering():
            self._forget_head()
        elif self._awaited_head is None:
            self._await_head()

    def on_message_begin(self) -> None:
        """Begin a head."""
        super().on_message_begin()
        self._in_head = self._head_began_now = True
        self._head_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Take a part of the first line."""
        super().on_url(url)
        self._measure(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or one that follows a body."""
        super().on_header(name, value)
        self._measure(len(name) + len(value))

    def on_headers_complete(self) -> None:
        """Take a request on, if it is one that nobody could read otherwise."""
        self._wrong = self._wrong or _wrong_in(self.parser.get_http_version(), self.headers)
        if not self._wrong and len(self.pipeline) >= MOST_AHEAD:
            self._wrong = f"The client sent more than {MOST_AHEAD} requests ahead."
        if self._wrong:
            raise ValueError(self._wrong)  # the parser makes it an error of its own, and that is refused
        self._in_head = False
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Go on, where the next head may be there already."""
        super().on_response_complete()
        if self._is_answering():
            self._forget_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget all timers."""
        self._forget_head()
        self._forget_stall()
        if self in self.connections:  # which one that was turned away never was
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
        """Say that what came is no HTTP, in the protocol's form, and close; what was asked before is answered first."""
        self._deaf = True
        if self._is_answering() and not self.cycle.more_body:
            self.cycle.keep_alive = False
            return
        if not self._is_answering() or not (self.cycle.response_started or self.pipeline):
            self.transport.write(_refusal(self._wrong or msg, b"400 Bad Request"))
        self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """Go on with HTTP/1.1, as the client has to expect; it is no news for a log."""

    def _measure(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self.limits.head:
            self._wrong = self._too_large()
            raise ValueError(self._wrong)

    def _too_large(self) -> str:
        return f"The first line and the headers: expected at most {self.limits.head} bytes, got more."

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


def _wrong_in(version: str, headers: Sequence[tuple[bytes, bytes]]) -> str:
    """Return what is wrong with a head that the parser has taken; empty for nothing."""
    if version not in ("1.0", "1.1"):
        return "The version: expected HTTP/1.1 or 1.0, got another."
    hosts = sum(name.lower() == b"host" for name, _ in headers)
    if hosts > 1 or (version == "1.1" and not hosts):
        return "The headers: expected Host once, got it " + ("more often." if hosts else "never.")
    codings = [value.strip().lower() for name, value in headers if name.lower() == b"transfer-encoding"]
    if codings not in ([], [b"chunked"]):
        return "Transfer-Encoding: expected chunked, got another."
    return ""


def _refusal(message: str, status: bytes = b"503 Service Unavailable") -> bytes:
    body = json.dumps({"error": message}).encode()
    again = b"Retry-After: 1\r\n" if status.startswith(b"503") else b""
    return b"".join(
        (
            b"HTTP/1.1 ", status, b"\r\nContent-Type: application/json\r\nContent-Length: ", str(len(body)).encode(),
            b"\r\n", again, b"Connection: close\r\n\r\n", body,
        )
    )  # fmt: skip

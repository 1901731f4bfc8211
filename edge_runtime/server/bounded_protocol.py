"""uvicorn's HTTP connections with the bounds that it has not: for heads, stalled readers, and their number.

uvicorn waits without end for the head of a request and for a client that reads nothing, keeps a head of any size, and
says its own errors in plain text. Its parser takes more than HTTP/1.1 allows; what others may read
otherwise is refused.
"""

import asyncio
import json
from collections.abc import Sequence
from typing import cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from edge_runtime.server.limits import ServerLimits
from edge_runtime.server.server_metrics import ServerMetrics

MOST_AHEAD = 64
"""Requests that a client may send before it has the answer to an earlier one."""
MOST_HELD = 64 << 10
"""Bytes that wait for the end of a turn of the event loop, at most."""


class JoinedWrites:
    """A transport that sends what is written in one turn of the event loop at once: a head and its body in one call."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._held: list[bytes] = []
        self._held_bytes = 0
        self.get_extra_info, self.is_closing = transport.get_extra_info, transport.is_closing
        self.pause_reading, self.resume_reading = transport.pause_reading, transport.resume_reading
        self.abort = transport.abort

    def write(self, data: bytes) -> None:
        """Take bytes for the end of this turn, or send them where they are many."""
        if not self._held:
            self._loop.call_soon(self._send)
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > MOST_HELD:
            self._send()

    def close(self) -> None:
        """Send what was written, and close."""
        self._send()
        self._transport.close()

    def get_write_buffer_size(self) -> int:
        """Return the bytes that the client has not taken yet."""
        return self._held_bytes + self._transport.get_write_buffer_size()

    def _send(self) -> None:
        held, self._held, self._held_bytes = self._held, [], 0
        if held and not self._transport.is_closing():
            self._transport.write(held[0] if len(held) == 1 else b"".join(held))


class BoundedProtocol(HttpToolsProtocol):
    """One connection. `limits` and `metrics` are given by a subclass, which `bounded` makes."""

    limits: ServerLimits
    metrics: ServerMetrics
    _awaited_head: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None
    _unread = 0
    _in_head = False
    _follows_another = False
    _head_bytes = _head_received = 0
    _wrong = ""
    _length_of_body: tuple[bytes, bytes] | None = None
    _apart = False
    _deaf = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a head, or turn a connection away that is one too many."""
        if len(self.connections) >= self.limits.connections:
            self.metrics.turned_away += 1
            self._deaf = True
            cast(asyncio.Transport, transport).write(_refusal("The server has all the connections that it takes."))
            transport.close()
            return
        super().connection_made(cast(asyncio.Transport, JoinedWrites(cast(asyncio.Transport, transport), self.loop)))
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Take bytes; once a head is there, nothing waits for it any more."""
        if self._deaf:
            return
        self._follows_another = False
        self._unset_keepalive_if_required()
        self._feed(data)
        if self._in_head and not self._follows_another and not self._deaf:
            self._head_received += len(data)  # no callback tells of a header that has not ended
            if self._head_received > self.limits.head:
                self.send_400_response(self._too_large())
        if self._is_answering():
            self._forget_head()
        elif self._awaited_head is None:
            self._await_head()

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as stopped:
            self._feed_without_upgrade(data[stopped.args[0] :])
        except httptools.HttpParserError:
            self.send_400_response("The request: expected HTTP/1.1, got something else.")

    def _feed_without_upgrade(self, rest: bytes) -> None:
        """Go on in this protocol after a head that asked for another one, as Java's client does with every request.

        The parser takes no body after such a head. So another one begins with a head of its own, of which nobody is
        told, and takes the body and all that follows.
        """
        length, self._length_of_body = self._length_of_body, None
        if length is not None:
            self.parser, self._apart = httptools.HttpRequestParser(self), True
            self.parser.feed_data(b"POST / HTTP/1.1\r\n%s: %s\r\n\r\n" % length)  # a length of 0 ends it already
            self._apart = False
        if rest:
            self._feed(rest)

    def on_message_begin(self) -> None:
        """Begin a head."""
        if self._apart:
            return
        super().on_message_begin()
        self._in_head, self._head_bytes, self._head_received = True, 0, 0

    def on_url(self, url: bytes) -> None:
        """Take a part of the first line."""
        if self._apart:
            return
        super().on_url(url)
        self._measure(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or one that follows a body."""
        if self._apart:
            return
        super().on_header(name, value)
        self._measure(len(name) + len(value))

    def on_headers_complete(self) -> None:
        """Take a request on, if it is one that nobody could read otherwise."""
        if self._apart:
            return
        self._wrong = self._wrong or _wrong_in(self.parser.get_http_version(), self.headers)
        if not self._wrong and len(self.pipeline) >= MOST_AHEAD:
            self._wrong = f"The client sent more than {MOST_AHEAD} requests ahead."
        if self._wrong:
            raise ValueError(self._wrong)  # the parser makes it an error of its own, and that is refused
        self._in_head = False
        if self.parser.should_upgrade():
            lengths = (each for each in self.headers if each[0].lower() in (b"content-length", b"transfer-encoding"))
            self._length_of_body = next(lengths, None)
        super().on_headers_complete()

    def on_chunk_header(self) -> None:
        """Begin a chunk: behind the last one, which has no body, there may be headers again."""
        self._in_head, self._head_received = True, 0
        self._follows_another = True

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._in_head = False
        super().on_body(body)

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
        """Say that what came is no HTTP, in the protocol's form, and close.

        Requests that came whole before it are answered first; not so where it is the body of one that is taken on.
        """
        self._deaf = True
        if self._is_answering() and not self.cycle.more_body:
            self.cycle.keep_alive = False
            return
        if not self._is_answering() or not (self.cycle.response_started or self.pipeline):
            self.transport.write(_refusal(self._wrong or msg, b"400 Bad Request"))
        self.transport.close()

    def on_message_complete(self) -> None:
        """End a request; what follows in the same bytes is the next one."""
        if self._length_of_body is not None:
            return  # it is the head alone that ended
        super().on_message_complete()
        self._in_head, self._follows_another = False, True

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

"""An HTTP server on a loopback port that serves a dictionary of files, with ranges, and fails as it is told to."""

import re
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.edge_runtime.threaded_server import ThreadedServer, serving

Fault = Callable[["Handler", bytes], None]
_WRITTEN = 1 << 14
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


class LoopbackServer(ThreadedServer):
    """`files` by path without a leading slash. A fault is used by the next request for which it was planned."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.ranges = True
        self.etag: str | None = '"one"'
        self.asked: list[tuple[str, str]] = []
        """The path and the Range header of each request."""
        self.if_ranges: list[str | None] = []
        self.sent = 0
        """Bytes of bodies that were written."""
        self.on_sent: Callable[[int], None] = lambda _: None
        """Called after each piece of a body, with `sent`."""
        self.connections = 0
        self.fired: list[str] = []
        self.lock = threading.Lock()
        self._faults: list[tuple[str, Fault]] = []

    @property
    def url(self) -> str:
        return self.origin

    def plan(self, fault: Fault, times: int = 1) -> None:
        """Let the next requests fail so; `fired` has the fault's name once for each."""
        self._faults += [(getattr(fault, "__name__", "fault"), fault)] * times

    def take(self) -> Fault | None:
        with self.lock:
            if not self._faults:
                return None
            name, fault = self._faults.pop(0)
            self.fired.append(name)
            return fault

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that go away are part of the tests."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: LoopbackServer

    def setup(self) -> None:
        super().setup()
        with self.server.lock:
            self.server.connections += 1

    def do_GET(self) -> None:
        path = self.path.lstrip("/")
        with self.server.lock:
            self.server.asked.append((path, self.headers.get("Range", "")))
            self.server.if_ranges.append(self.headers.get("If-Range"))
        content = self.server.files.get(path)
        fault = self.server.take()
        if fault is not None:
            fault(self, content or b"")
        elif content is None:
            self.answer(404, b"nothing here")
        else:
            self.serve(content)

    def serve(self, content: bytes) -> None:
        """Answer as a good server does."""
        first, last = self.range_of(content)
        if first is None:
            self.answer(200, content)
        elif first >= len(content):
            self.answer(416, b"")
        else:
            self.answer(206, content[first : last + 1], {"Content-Range": f"bytes {first}-{last}/{len(content)}"})

    def range_of(self, content: bytes) -> tuple[int | None, int]:
        found = _RANGE.fullmatch(self.headers.get("Range", ""))
        unchanged = self.headers.get("If-Range") in (None, self.server.etag)
        if found is None or not self.server.ranges or not unchanged:
            return None, 0
        return int(found[1]), min(int(found[2] or len(content)), len(content) - 1)

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.head(status, {"Content-Length": str(len(body)), **(headers or {})})
        self.body(body)

    def head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        if self.server.etag:
            self.send_header("ETag", self.server.etag)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def body(self, data: bytes) -> None:
        for first in range(0, len(data), _WRITTEN):
            piece = data[first : first + _WRITTEN]
            with self.server.lock:
                self.server.sent += len(piece)
            self.wfile.write(piece)
            self.server.on_sent(self.server.sent)

    def hang_up(self) -> None:
        self.wfile.flush()
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def running_server(tls: ssl.SSLContext | None = None) -> Iterator[LoopbackServer]:
    """Run a server in a thread until the block ends."""
    with serving(LoopbackServer(), tls) as server:
        yield server

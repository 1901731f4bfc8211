"""A drop box on a loopback port: a small server that takes PUT into a folder, and fails as it is told to."""

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

from tests.edge_runtime.threaded_server import ThreadedServer, serving

Fault = Callable[["BoxHandler", bytes], None]


@dataclass(frozen=True)
class Put:
    """A PUT that came: its path without a leading slash, its body, and two of its headers."""

    path: str
    body: bytes
    media_type: str | None
    if_none_match: str | None


class DropBoxServer(ThreadedServer):
    """Files below `folder`. A fault is used by the next request for which it was planned."""

    def __init__(self, folder: Path, *, readable: bool = True) -> None:
        super().__init__(("127.0.0.1", 0), BoxHandler)
        self.folder, self.readable = folder, readable
        self.puts: list[Put] = []
        self.fired: list[str] = []
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"{self.origin}/box"

    @property
    def names(self) -> list[str]:
        """The files in the box, as paths below it."""
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())

    def plan(self, *faults: Fault) -> None:
        """Let the next requests fail so; `fired` has the fault's name for each that did."""
        self._faults += faults

    def take(self) -> Fault | None:
        with self._lock:
            if not self._faults:
                return None
            fault = self._faults.pop(0)
            self.fired.append(fault.__name__)
            return fault

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that go away are part of the tests."""


class BoxHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: DropBoxServer

    @property
    def name(self) -> str:
        return unquote(self.path).removeprefix("/box/")

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = self.headers
        self.server.puts.append(Put(self.name, body, headers.get("Content-Type"), headers.get("If-None-Match")))
        fault = self.server.take()
        (fault or BoxHandler.keep)(self, body)

    def do_GET(self) -> None:
        path, fault = self.server.folder / self.name, self.server.take()
        if fault is not None:
            fault(self, b"")
        elif not self.server.readable:
            self.answer(403)
        elif path.is_file():
            self.answer(200, path.read_bytes())
        else:
            self.answer(404)

    def keep(self, body: bytes) -> None:
        """Take a file as a good box does."""
        path = self.server.folder / self.name
        if path.exists() and self.headers.get("If-None-Match") == "*":
            self.answer(412)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        self.answer(201)

    def answer(self, status: int, body: bytes = b"", headers: Mapping[str, str] = MappingProxyType({})) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def answers(status: int, **headers: str) -> Fault:
    """Return a fault that answers with a status and keeps nothing."""

    def fault(handler: BoxHandler, _body: bytes) -> None:
        handler.answer(status, headers=headers)

    fault.__name__ = f"answers {status}"
    return fault


def keeps_and_hangs_up(handler: BoxHandler, body: bytes) -> None:
    """Take the file, and end the connection before the answer."""
    path = handler.server.folder / handler.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    handler.close_connection = True


def hangs_up(handler: BoxHandler, _body: bytes) -> None:
    """End the connection, and take nothing."""
    handler.close_connection = True


@contextmanager
def drop_box(folder: Path, *, readable: bool = True, tls: ssl.SSLContext | None = None) -> Iterator[DropBoxServer]:
    """Run a drop box in a thread until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with serving(DropBoxServer(folder, readable=readable), tls) as server:
        yield server

"""The real server of webhooks on loopback: slow, lying and malformed clients neither block nor outlive their time."""

import asyncio
import contextlib
import logging
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from flows.watch.receiver import LARGEST_BODY, receiver
from flows.watch.webhook_server import PatientProtocol, listening_at, webhook_server
from tasks.errors import SystemFailure
from tests.edge_runtime.processes import wait_until
from tests.flows.watch.signed_deliveries import BODY, NOW, SECRET, ToldWatcher, headers

FEW = 16
GIVEN_S = 2.0


@dataclass(frozen=True)
class Served:
    """A server that runs, and the watcher that it tells."""

    port: int
    watcher: ToldWatcher
    connections: set[object]

    def connect(self, sent: bytes = b"") -> socket.socket:
        """Open a connection and send the beginning of something."""
        opened = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        opened.sendall(sent)
        return opened

    def deliver(self) -> int:
        """Post a good delivery; return the status code."""
        address = f"http://127.0.0.1:{self.port}/webhook"
        return httpx.post(address, content=BODY, headers=headers(), timeout=60, trust_env=False).status_code


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A server that has little patience and few places."""
    monkeypatch.setattr(PatientProtocol, "arrives_s", GIVEN_S)
    monkeypatch.setattr(PatientProtocol, "most_connections", FEW)
    watcher = ToldWatcher()
    server = webhook_server(receiver(SECRET, watcher.told, lambda: NOW))
    listening = listening_at("127.0.0.1", 0)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])))
    thread.start()
    wait_until(lambda: server.started, seconds=60)
    yield Served(listening.getsockname()[1], watcher, server.server_state.connections)  # type: ignore[arg-type]
    server.should_exit = True
    thread.join(60)
    assert not thread.is_alive()


def received(opened: socket.socket) -> bytes:
    """Return all that comes until the other side ends the connection."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while part := opened.recv(65536):
            found += part
    return found


def request(*lines: str, body: bytes = b"") -> bytes:
    return "\r\n".join(["POST /webhook HTTP/1.1", "Host: watcher", *lines, "", ""]).encode("latin-1") + body


SLOW = [
    b"", b"P", b"POST /webhook HTTP/1.1\r\nHost: a\r\nX-", request("Content-Length: 100", body=b"{"),
    request("Transfer-Encoding: chunked", body=b"5\r\nab"), request("Content-Length: 0"),
    request("Content-Length: 70000", body=b"x" * 66_000),
]  # fmt: skip


@pytest.mark.parametrize("sent", SLOW, ids=range(len(SLOW)))
def test_who_sends_a_part_and_waits_is_cut_off_and_blocks_nobody(served: Served, sent: bytes) -> None:
    slow = [served.connect(sent) for _ in range(5)]
    assert served.deliver() == 202
    for each in slow:
        received(each)  # it ends, or the test does not
        each.close()
    wait_until(lambda: not served.connections, seconds=30)
    assert len(served.watcher.events) == 1


def test_a_byte_now_and_then_gains_no_time(served: Served) -> None:
    slow, began = served.connect(b"POST /webhook HTTP/1.1\r\nHost: a\r\nX-A: "), time.monotonic()
    with pytest.raises(ConnectionError):
        while time.monotonic() < began + 60:
            slow.sendall(b"a")
            time.sleep(0.1)
    slow.close()


def test_more_slow_clients_than_places_keep_no_delivery_out(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PatientProtocol, "arrives_s", 600.0)
    slow = [served.connect(b"POST /webhook HTTP/1.1\r\n") for _ in range(3 * FEW)]
    assert served.deliver() == 202
    wait_until(lambda: len(served.connections) <= FEW, seconds=30)
    for each in slow:
        each.close()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400"),
        (b"GET\r\n\r\n", b"400"),
        (request("Content-Length: -1"), b"400"),
        (request("Content-Length: 1", "Content-Length: 2", body=b"ab"), b"400"),
        (request("Content-Length: 99999999999999999999"), b""),
        (request("Transfer-Encoding: chunked", body=b"zz\r\n"), b"400"),
        (request("Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"), b"400"),
        (request("X-Long: " + "a" * 100_000), b"40"),
        (request(*(f"X-{number}: {'a' * 1000}" for number in range(200))), b"40"),
        (request("X-MLflow-Signature: v1,\x80\xff", "Content-Length: 2", "Connection: close", body=b"{}"), b"401"),
        (request("Upgrade: websocket", "Connection: Upgrade, close", "Content-Length: 0"), b"401"),
        (request("Transfer-Encoding: chunked", body=b"11000\r\n" + b"x" * 0x11000 + b"\r\n0\r\n\r\n"), b"413"),
        (request(f"Content-Length: {LARGEST_BODY + 1}", body=b"x" * (LARGEST_BODY + 1)), b"413"),
    ],
    ids=range(13),
)  # fmt: skip
def test_malformed_requests_get_an_answer_and_the_server_goes_on(
    served: Served, sent: bytes, status: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    opened = served.connect()
    with contextlib.suppress(ConnectionError):  # the server need not read all of it
        opened.sendall(sent)
    answer = received(opened)
    was_cut = answer == b"" and len(sent) > 60_000
    assert status in answer.partition(b"\r\n")[0] or was_cut
    assert b"Traceback" not in answer
    assert served.deliver() == 202
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_a_body_of_more_than_is_taken_costs_no_memory(served: Served) -> None:
    opened, sent = served.connect(request("Content-Length: 200000000")), 0
    with contextlib.suppress(ConnectionError):
        for _ in range(3000):
            sent += opened.send(b"x" * 65_536)
    assert served.deliver() == 202
    assert received(opened)[:12] in (b"HTTP/1.1 413", b"")


def test_a_place_that_is_taken_is_told(served: Served) -> None:
    with pytest.raises(SystemFailure, match=f"--port {served.port}: expected an address of this machine that is free"):
        listening_at("127.0.0.1", served.port)

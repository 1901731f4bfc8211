"""A loopback server, and a carrier to it whose state is in memory and whose pauses are counted."""

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edge_runtime.configuration import NetworkSettings
from edge_runtime.update import DailyTraffic, HttpCarrier, Politeness
from tests.edge_runtime.update.clocks import FakeClock
from tests.edge_runtime.update.loopback_server import LoopbackServer, running_server

MakeCarrier = Callable[..., HttpCarrier]


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with running_server() as running:
        yield running


@pytest.fixture
def unused_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def make_carrier(server: LoopbackServer, clock: FakeClock, tmp_path: Path) -> Iterator[MakeCarrier]:
    """Make carriers to the server that share one state folder; a carrier's pauses pass the clock's time."""
    made = []

    def make(url: str | None = None, **settings: object) -> HttpCarrier:
        network = replace(NetworkSettings(proxy="", timeout_s=5.0), **settings)  # type: ignore[arg-type]
        state = tmp_path / "state"
        state.mkdir(exist_ok=True)
        carrier = HttpCarrier(
            url or server.url,
            network,
            DailyTraffic(state / "traffic.json", network.bytes_per_day, clock.now),
            Politeness(state / "politeness.json", clock.now, lambda: 0.0),
            sleep=clock.passes,
        )
        made.append(carrier)
        return carrier

    yield make
    for carrier in made:
        carrier.close()


@pytest.fixture
def carrier(make_carrier: MakeCarrier) -> HttpCarrier:
    return make_carrier()

"""The writer of artifacts: a Prefect server that is away costs the run nothing but a warning."""

import socket
import time
from collections.abc import Iterator

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.visibility.artifact_writer import Artifact, ArtifactWriter
from tests.edge_runtime.processes import wait_until


@pytest.fixture
def away() -> Iterator[None]:
    """A Prefect server that is down."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}/api"
    with temporary_settings({PREFECT_API_URL: address}):
        yield


@pytest.mark.usefixtures("away")
def test_a_server_that_is_away_is_warned_of_once_and_nobody_waits(warned: list[str]) -> None:
    writer = ArtifactWriter(pause_s=0.01, rest_s=0.01)
    before = time.process_time()
    for number in range(1000):
        writer.put("digits-training-progress", Artifact("progress", number / 10, "training"))
    assert time.process_time() - before < 5  # of this process, whatever else the machine does
    wait_until(lambda: bool(warned), seconds=60)
    writer.close()
    assert warned == ["the run's pages on the Prefect server are behind: ConnectError"]

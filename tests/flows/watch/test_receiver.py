"""The receiver acts on signed deliveries alone, and its status codes tell MLflow when to try again."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from flows.watch.deliveries import RegistryEvent
from flows.watch.receiver import LARGEST_BODY, receiver
from tests.flows.watch.signed_deliveries import BODY, NOW, SECRET, ToldWatcher, headers


@pytest.fixture
def watcher() -> ToldWatcher:
    """A watcher that does what it is told."""
    return ToldWatcher()


@pytest.fixture
def client(watcher: ToldWatcher) -> Iterator[TestClient]:
    """A client of the receiver, at a fixed time."""
    with TestClient(receiver(SECRET, watcher.told, lambda: NOW), raise_server_exceptions=False) as client:
        yield client


def test_a_signed_delivery_is_acted_on(client: TestClient, watcher: ToldWatcher) -> None:
    answer = client.post("/webhook", content=BODY, headers=headers())
    assert (answer.status_code, answer.text) == (202, "one run of digits is wanted")
    assert watcher.events == [RegistryEvent("model_version.created", "digits", "3")]


def test_the_same_delivery_twice_is_told_twice(client: TestClient, watcher: ToldWatcher) -> None:
    for _ in range(2):
        client.post("/webhook", content=BODY, headers=headers())
    assert len(watcher.events) == 2


@pytest.mark.parametrize(
    ("sent", "body", "code"),
    [
        ({}, BODY, 401),
        (headers(secret="another"), BODY, 401),
        (headers(stamp=str(NOW - 301)), BODY, 401),
        (headers(), b"x" * (LARGEST_BODY + 1), 413),
        (headers(b"{"), b"{", 422),
        (headers(b"[]"), b"[]", 422),
    ],
)
def test_anything_else_gets_its_status_and_no_work(
    client: TestClient, watcher: ToldWatcher, sent: dict[str, str], body: bytes, code: int
) -> None:
    assert client.post("/webhook", content=body, headers=sent).status_code == code
    assert watcher.events == []


def test_a_body_that_never_ends_is_cut(client: TestClient) -> None:
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        while read < 100 * LARGEST_BODY:
            read += 1024
            yield b"x" * 1024

    assert client.post("/webhook", content=endless(), headers=headers()).status_code == 413


def test_an_error_of_ours_is_told_as_one_that_passes(client: TestClient, watcher: ToldWatcher) -> None:
    watcher.error = ConnectionError("prefect is away; its address is http://user:password@prefect")
    answer = client.post("/webhook", content=BODY, headers=headers())
    assert answer.status_code == 500
    assert "password" not in answer.text


def test_other_methods_and_places_are_not_there(client: TestClient) -> None:
    assert client.get("/webhook").status_code == 405
    assert client.post("/").status_code == 404
    assert client.post("/webhook/", headers={"host": "elsewhere"}, follow_redirects=False).status_code == 404
    assert client.get("/health").text == "healthy"

"""Whatever is sent to the receiver gets the right status code; only what is signed is work, and it never breaks."""

import asyncio
import json
import logging
from typing import Any, TypeAlias

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from flows.watch.deliveries import WINDOW_S
from flows.watch.receiver import LARGEST_BODY, receiver
from tests.flows.watch.signed_deliveries import BODY, NOW, SECRET, ToldWatcher, headers

Sent: TypeAlias = list[tuple[bytes, bytes]]
many = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
NAMES = st.sampled_from(
    [b"x-mlflow-signature", b"x-mlflow-timestamp", b"x-mlflow-delivery-id", b"content-length", b"host"]
)
FORBIDDEN = bytes([0, 10, 13])
VALUES = st.binary(max_size=300).map(lambda value: bytes(each for each in value if each not in FORBIDDEN))
RAW_HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=12)
TEXTS = st.text(max_size=60) | st.sampled_from(["digits", "", "models/../x", "\x00", "９", "digits\r\nx: y"])
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
VALUE = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4))
EVENT = st.fixed_dictionaries(
    {}, optional={"entity": VALUE | st.just("model_version"), "action": VALUE | st.just("created"), "data": VALUE
        | st.fixed_dictionaries({}, optional={"name": VALUE, "version": VALUE, "alias": VALUE, "tags": VALUE})},
)  # fmt: skip
ODD_BODIES = [
    b'{"entity": "model_version", "action": "created", "data": {"name": "\\ud800", "version": "1"}}',
    b'{"entity": "model_version", "action": "created", "data": {"name": "a", "name": "b", "version": "1"}}',
    b'{"entity": "model_version", "action": "created", "data": {"name": "a", "version": %s}}' % (b"9" * 5000),
    b'{"entity": "model_version", "action": "created", "data": {"name": "a", "version": 1e999}}',
    b'{"entity": "model_version", "action": "created", "data": {"name": "a", "version": -NaN}}',
    b"[" * LARGEST_BODY, b'{"a":' * 10_000, b"\xff\xfe{\x00}\x00", b"\xef\xbb\xbf{}", b"9" * LARGEST_BODY,
    BODY + b" " * (LARGEST_BODY - len(BODY)), BODY + b" " * (LARGEST_BODY - len(BODY) + 1),
    BODY[:-1] + b"\xed\xa0\x80}",
]  # fmt: skip


def encoded(stamp: str = str(NOW)) -> Sent:
    """Return the headers of a good delivery, as bytes."""
    return [(name.encode(), value.encode("latin-1")) for name, value in headers(stamp=stamp).items()]


def posted(watcher: ToldWatcher, body: bytes, sent: Sent | dict[str, str], path: str = "/webhook") -> httpx.Response:
    """Send a body in chunks to the application, without a network."""

    async def chunks() -> Any:
        for start in range(0, len(body) or 1, 20_000):
            yield body[start : start + 20_000]

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(receiver(SECRET, watcher.told, lambda: NOW), raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://watcher") as client:
            return await client.post(path, content=chunks(), headers=sent)

    return asyncio.run(send())


def is_calm(answer: httpx.Response, caplog: pytest.LogCaptureFixture) -> bool:
    """Tell an answer of one short line, with nothing of the program in it and nothing but sentences in the log."""
    loud = [record for record in caplog.records if record.levelno >= logging.WARNING or record.exc_info]
    return "Traceback" not in answer.text and SECRET not in answer.text and not loud


@many
@given(sent=RAW_HEADERS, body=st.binary(max_size=400) | st.sampled_from([BODY, *ODD_BODIES]))
def test_what_is_not_signed_is_no_work(sent: Sent, body: bytes, caplog: pytest.LogCaptureFixture) -> None:
    watcher = ToldWatcher()
    answer = posted(watcher, body, sent)
    assert answer.status_code == (413 if len(body) > LARGEST_BODY else 401)
    assert watcher.events == []
    assert is_calm(answer, caplog)


@many
@given(stamp=st.text(max_size=20) | st.integers().map(str) | st.floats().map(str))
@example(stamp=str(NOW + WINDOW_S + 1))
@example(stamp=str(NOW - WINDOW_S - 1))
@example(stamp="+" + str(NOW))
@example(stamp=f" {NOW}")
@example(stamp=f"{NOW}.0")
@example(stamp="١٨٠٠٠٠٠٠٠٠")
def test_a_time_that_is_no_time_of_now_is_no_work_however_well_signed(
    stamp: str, caplog: pytest.LogCaptureFixture
) -> None:
    watcher = ToldWatcher()
    kept = bytes(each for each in stamp.encode("utf-8", "surrogatepass") if each not in FORBIDDEN)
    answer = posted(watcher, BODY, encoded(stamp=kept.decode("latin-1")))
    assert (answer.status_code, watcher.events) == (401, [])
    assert is_calm(answer, caplog)


@many
@given(body=st.binary(max_size=400) | VALUE.map(lambda value: json.dumps(value).encode())
       | EVENT.map(lambda value: json.dumps(value).encode()) | st.sampled_from(ODD_BODIES))  # fmt: skip
def test_what_is_signed_is_an_event_or_is_refused(body: bytes, caplog: pytest.LogCaptureFixture) -> None:
    watcher = ToldWatcher()
    answer = posted(watcher, body, headers(body))
    assert answer.status_code == (413 if len(body) > LARGEST_BODY else 202 if watcher.events else 422)
    assert is_calm(answer, caplog)
    for event in watcher.events:
        assert event.model and event.model in answer.text
        json.loads(body)  # what MLflow never sends is never an event


@pytest.mark.parametrize("body", ODD_BODIES, ids=range(len(ODD_BODIES)))
def test_odd_bodies_are_answered(body: bytes, caplog: pytest.LogCaptureFixture) -> None:
    answer = posted(ToldWatcher(), body, headers(body))
    assert answer.status_code in (202, 413, 422)
    assert is_calm(answer, caplog)


def test_the_generated_events_are_also_good_ones() -> None:
    watcher = ToldWatcher()
    for name in ("digits", "模型", "a b/c"):
        body = json.dumps({"entity": "model_version", "action": "created", "data": {"name": name, "version": 3}})
        assert posted(watcher, body.encode(), headers(body.encode())).status_code == 202
    assert [event.model for event in watcher.events] == ["digits", "模型", "a b/c"]


@pytest.mark.parametrize("order", ["good first", "bad first"])
def test_of_several_signatures_the_first_counts(order: str) -> None:
    watcher = ToldWatcher()
    signed = encoded()
    bad = [(b"x-mlflow-signature", b"v1,AAAA")]
    sent = signed + bad if order == "good first" else bad + signed
    assert posted(watcher, BODY, sent).status_code == (202 if order == "good first" else 401)
    assert len(watcher.events) == (order == "good first")


def test_a_signature_is_worth_nothing_for_another_body_however_little_differs() -> None:
    watcher = ToldWatcher()
    for place in range(len(BODY)):
        changed = BODY[:place] + bytes([BODY[place] ^ 1]) + BODY[place + 1 :]
        assert posted(watcher, changed, headers()).status_code == 401
    assert watcher.events == []


@pytest.mark.parametrize("path", ["/webhook/", "//webhook", "/webhook%00", "/%2e%2e/webhook", "/webhook/../health"])
def test_other_places_take_no_delivery(path: str) -> None:
    watcher = ToldWatcher()
    answer = posted(watcher, BODY, [*encoded(), (b"host", b"[")], path)
    assert answer.status_code in (404, 405)
    assert watcher.events == []

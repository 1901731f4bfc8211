"""Deliveries count only where the registry signed them, now; the events are those that MLflow sends."""

import json
from typing import Any

import pytest
from mlflow.webhooks.delivery import _generate_hmac_signature
from mlflow.webhooks.types import ModelVersionAliasCreatedPayload, ModelVersionCreatedPayload

from flows.watch.deliveries import RegistryEvent, UnreadableDeliveryError, UnsignedDeliveryError, event_of, verified
from tests.flows.watch.signed_deliveries import BODY, NOW, SECRET, headers


def test_the_tests_sign_as_mlflow_does() -> None:
    signature = _generate_hmac_signature(SECRET, "d-1", str(NOW), BODY.decode())
    assert headers()["x-mlflow-signature"] == signature


@pytest.mark.parametrize("late", [-300, 0, 7, 300])
def test_what_mlflow_signs_counts_for_five_minutes(late: int) -> None:
    verified(SECRET, headers(), BODY, NOW + late)


@pytest.mark.parametrize(
    ("sent", "body", "now", "sentence"),
    [
        (headers(secret="another"), BODY, NOW, "expected one by the shared secret"),
        (headers(signature=""), BODY, NOW, "expected one by the shared secret"),
        (headers(signature="v1,ÿ"), BODY, NOW, "expected one by the shared secret"),
        (headers(), BODY.replace(b"3", b"4"), NOW, "expected one by the shared secret"),
        (headers(delivery_id="d-2"), BODY, NOW, "expected one by the shared secret"),
        (headers(timestamp=str(NOW + 1)), BODY, NOW, "expected one by the shared secret"),
        (headers(), BODY, NOW + 301, "of another time"),
        (headers(), BODY, NOW - 301, "of another time"),
        (headers(timestamp="soon"), BODY, NOW, "expected seconds since 1970"),
        (headers(timestamp="²"), BODY, NOW, "expected seconds since 1970"),
        (headers(timestamp="1" * 5000), BODY, NOW, "expected seconds since 1970"),
        ({}, BODY, NOW, "expected seconds since 1970"),
    ],
)
def test_anything_else_does_not_count(sent: dict[str, str], body: bytes, now: float, sentence: str) -> None:
    with pytest.raises(UnsignedDeliveryError, match=sentence):
        verified(SECRET, sent, body, now)


def test_events_are_read_as_mlflow_writes_them() -> None:
    created = ModelVersionCreatedPayload(
        name="digits", version="3", source="models:/m", run_id=None, tags={}, description=None
    )
    moved = ModelVersionAliasCreatedPayload(name="digits", alias="champion", version="2")
    assert event_of(_body("model_version", created)) == RegistryEvent("model_version.created", "digits", "3")
    assert event_of(_body("model_version_alias", moved)) == RegistryEvent("model_version_alias.created", "digits", "2")


def _body(entity: str, data: Any) -> bytes:
    return json.dumps({"entity": entity, "action": "created", "data": data}).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b"3", b"\xff", b'{"entity": "model_version"}',
        b'{"entity": "model_version", "action": "created", "data": []}',
        b'{"entity": "model_version", "action": "created", "data": {"name": ["digits"]}}',
        b'{"entity": "model_version", "action": "created", "data": {"name": "", "version": "1"}}',
        b'{"entity": "model_version", "action": "created", "data": {"name": "digits", "version": true}}',
        b'{"entity": "model_version", "action": "created", "data": {"name": "digits", "version": NaN}}',
        b'{"entity": {}, "action": "created", "data": {"name": "digits", "version": "1"}}',
        b'{"entity": "model_version", "action": "created", "data": {"name": "\\ud800", "version": "1"}}',
        b"[" * 60_000,
    ],
)  # fmt: skip
def test_what_is_no_event_is_told(body: bytes) -> None:
    with pytest.raises(UnreadableDeliveryError, match="send what MLflow sends"):
        event_of(body)

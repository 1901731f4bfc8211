"""Deliveries as MLflow signs them, and a watcher that only remembers what it was told."""

import base64
import hashlib
import hmac

from flows.watch.deliveries import RegistryEvent

SECRET = "a secret of the test"
NOW = 1_800_000_000
BODY = b'{"entity": "model_version", "action": "created", "data": {"name": "digits", "version": "3"}}'


def headers(body: bytes = BODY, secret: str = SECRET, stamp: str = str(NOW), **changed: str) -> dict[str, str]:
    """Return the headers that MLflow writes; `changed` ones are not what was signed."""
    digest = hmac.new(secret.encode(), f"d-1.{stamp}.".encode() + body, hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(digest).decode()}"
    written = {"x-mlflow-signature": signature, "x-mlflow-timestamp": stamp, "x-mlflow-delivery-id": "d-1"}
    return written | {f"x-mlflow-{name.replace('_', '-')}": text for name, text in changed.items()}


class ToldWatcher:
    """Memory of what the receiver tells, and the error that it is answered with."""

    def __init__(self) -> None:
        self.events: list[RegistryEvent] = []
        self.error: Exception | None = None

    async def told(self, event: RegistryEvent) -> str:
        """Remember an event; quote its model, as the watcher's answer does."""
        self.events.append(event)
        if self.error is not None:
            raise self.error
        return f"one run of {event.model} is wanted"

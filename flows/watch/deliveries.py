"""Deliveries of MLflow's webhooks: their signature, their age, and the event that they tell.

MLflow signs `{delivery id}.{timestamp}.{body}` with HMAC-SHA256 (mlflow.webhooks.delivery). It delivers an event up to
four times under the same id, so duplicates are normal.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass

from edge_runtime.errors import EdgewrightError

WINDOW_S = 300
"""Seconds by which a delivery's timestamp may differ from the clock here: one that was recorded is not played again."""
SIGNATURE, TIMESTAMP, DELIVERY = "x-mlflow-signature", "x-mlflow-timestamp", "x-mlflow-delivery-id"


class UnsignedDeliveryError(EdgewrightError):
    """A delivery that the registry did not sign, or not now."""


class UnreadableDeliveryError(EdgewrightError):
    """A signed delivery that holds no event of a registry."""


@dataclass(frozen=True)
class RegistryEvent:
    """Something that happened to a version of a registered model, such as `model_version.created`."""

    kind: str
    model: str
    version: str


def verified(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> None:
    """Raise UnsignedDeliveryError unless the body was signed with the secret, at most five minutes from now.

    The signature is compared in constant time. `headers` have names in small letters.
    """
    stamp, delivery = headers.get(TIMESTAMP, ""), headers.get(DELIVERY, "")
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
        raise UnsignedDeliveryError(f"{TIMESTAMP}: expected seconds since 1970, got none; send what MLflow sends")
    signed = f"{delivery}.{stamp}.".encode(errors="replace") + body
    digest = base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()
    given = headers.get(SIGNATURE, "")
    if not hmac.compare_digest(f"v1,{digest}".encode(), given.encode(errors="replace")):
        raise UnsignedDeliveryError(
            f"{SIGNATURE}: expected one by the shared secret, got another or none; check the secret"
        )
    if abs(now - int(stamp)) > WINDOW_S:
        raise UnsignedDeliveryError(
            f"{TIMESTAMP}: expected a delivery of the last {WINDOW_S} s, got one of another time; check both clocks"
        )


def event_of(body: bytes) -> RegistryEvent:
    """Read the event. Raises UnreadableDeliveryError for what MLflow would not send."""
    try:
        told = json.loads(body)
        kind, data = ".".join([told["entity"], told["action"]]), told["data"]
        model, version = data["name"], data.get("version", "")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UnreadableDeliveryError(
            f"body: expected entity, action and data of an event as JSON, got {type(error).__name__}; send what MLflow "
            "sends"
        ) from error
    if not (isinstance(model, str) and model and type(version) in (str, int) and _is_text(f"{kind}{model}{version}")):
        raise UnreadableDeliveryError(
            "body: expected a model's name and a version in `data`, got neither; send what MLflow sends"
        )
    return RegistryEvent(kind, model, str(version))


def _is_text(said: str) -> bool:
    """Tell a text from what JSON can write and nobody can send on: halves of characters."""
    try:
        return bool(said.encode())
    except UnicodeEncodeError:
        return False

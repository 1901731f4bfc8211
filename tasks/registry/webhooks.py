"""The webhook of an MLflow server: it tells of new versions and aliases, so that nobody has to wait for a look."""

from typing import Any
from urllib.parse import urlsplit

from mlflow.entities.webhook import Webhook, WebhookAction, WebhookEntity, WebhookEvent, WebhookStatus
from mlflow.exceptions import MlflowException

from tasks.errors import RegistryError
from tasks.registry.client import EMBEDDED, all_pages, client_for, unavailable

NAME = "edgewright"
EVENTS: list[WebhookEvent | Any] = [
    WebhookEvent(WebhookEntity.MODEL_VERSION, WebhookAction.CREATED),
    WebhookEvent(WebhookEntity.MODEL_VERSION_ALIAS, WebhookAction.CREATED),
]


def register_webhook(tracking_uri: str, address: str, secret: str) -> str:
    """Have the server tell an address of what happens to versions; returns in words what was done. Safe to repeat.

    There is one such webhook on a server: one of another address or state is brought to this one, with this secret.
    Raises RegistryError for a registry without a server, RegistryUnavailable where it does not answer.
    """
    if tracking_uri.startswith(EMBEDDED):
        raise RegistryError(
            "MLFLOW_TRACKING_URI: expected the http(s) address of an MLflow server, which alone tells of events, got "
            "an SQLite file; start mlflow server, or watch without a webhook"
        )
    if "@" in urlsplit(address).netloc:
        raise RegistryError(
            "--register: expected an address without user and password, which MLflow would show to everybody, got one "
            "with a login; the secret that MLflow signs with is the login"
        )
    client = client_for(tracking_uri)
    try:
        known = all_pages(lambda token: client.list_webhooks(max_results=100, page_token=token))
        mine = [webhook for webhook in known if webhook.name == NAME]
        for twin in mine[1:]:
            client.delete_webhook(twin.webhook_id)
        if not mine:
            client.create_webhook(NAME, address, EVENTS, "Wakes the watcher of Edgewright.", secret)
            return f"made the webhook {NAME}, which tells {address}"
        changed = not _is_so(mine[0], address)
        client.update_webhook(
            mine[0].webhook_id, url=address, events=EVENTS, secret=secret, status=WebhookStatus.ACTIVE
        )
        return f"the webhook {NAME} {'tells' if not changed else 'now tells'} {address}"
    except MlflowException as error:
        raise unavailable(tracking_uri, error) from error


def _is_so(webhook: Webhook, address: str) -> bool:
    events = {str(event) for event in webhook.events}
    return webhook.url == address and events == set(map(str, EVENTS)) and webhook.status is WebhookStatus.ACTIVE

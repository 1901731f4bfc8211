"""`edgewright watch`: the watcher as a process, with or without a receiver of webhooks."""

import asyncio
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from deployments.errors import ConfigurationError
from flows.environment import HOME, prepare
from tasks.errors import SystemFailure, without_secrets

if TYPE_CHECKING:  # Prefect and MLflow read the environment when they are imported, which prepare() sets
    from flows.watch.watcher import Watcher

logger = logging.getLogger("edgewright")
SECRET = "EDGEWRIGHT_WEBHOOK_SECRET"
HINT = f"set {SECRET}, or {SECRET}_FILE to a file that only you can read"
KEPT = "edgewright up keeps one in EDGEWRIGHT_HOME/services/secrets/webhook-secret"


def watch_command(
    recipe: Annotated[
        list[Path] | None,
        typer.Option(help="Recipe to watch for; EDGEWRIGHT_RECIPES or all shipped ones if not given."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on for webhooks.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on for webhooks.", min=1, max=65535)] = 8765,
    seconds: Annotated[float, typer.Option(help="Seconds between two looks at the registry.", min=0.5)] = 5.0,
    register: Annotated[
        str | None, typer.Option(metavar="URL", help="Make MLflow's webhook, which tells this address; then end.")
    ] = None,
) -> None:
    """Start a run for each version that wants an answer, on a Prefect server, and find the runs that died.

    Reads MLFLOW_TRACKING_URI and PREFECT_API_URL. With EDGEWRIGHT_WEBHOOK_SECRET it also listens for MLflow's webhooks
    at /webhook; without, it looks every few seconds. Ends with Ctrl-C.
    """
    prepare(HOME)
    from flows.console import show_progress
    from tasks.workspace import Workspace

    workspace = Workspace.from_environment()
    if register is not None:
        _check_address(register)
        secret = webhook_secret()
        if secret is None:
            raise ConfigurationError(f"{SECRET}: expected the secret that MLflow signs with, got none; {HINT}; {KEPT}")
        from tasks.registry import register_webhook

        typer.echo(register_webhook(workspace.tracking_uri, register, secret))
        return
    if not os.environ.get("PREFECT_API_URL"):
        raise SystemFailure(
            "PREFECT_API_URL: expected the address of a Prefect server that has workers, got none; start one, or ask "
            "with edgewright reconcile, which needs none"
        )
    from rich.console import Console

    from deployments.recipe import named_recipes
    from flows.visibility import named_blocks
    from flows.watch.watcher import Watcher

    named_blocks()  # a name that is none is told before anything starts

    show_progress(Console())
    recipes = recipe or named_recipes()
    watcher = Watcher(recipes, workspace.tracking_uri, workspace.home, seconds)
    asyncio.run(_serve(watcher, host, port, webhook_secret()))


def webhook_secret() -> str | None:
    """Return the secret that MLflow signs with, from the environment or a file; None where there is none.

    Raises ConfigurationError for a file that others can read, or that cannot be read.
    """
    if os.environ.get(SECRET, "").strip():
        return os.environ[SECRET].strip()
    name = os.environ.get(f"{SECRET}_FILE")
    if not name:
        return None
    try:
        mode, text = Path(name).stat().st_mode, Path(name).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{SECRET}_FILE: expected a file with a secret, got {type(error).__name__}") from error
    if mode & 0o077 or not text:
        raise ConfigurationError(
            f"{SECRET}_FILE: expected a secret that only its owner can read, got one that others can, or none; "
            f"write one and chmod 600 {name}"
        )
    return text


def _check_address(address: str) -> None:
    """Raise ConfigurationError for an address at which no watcher listens: it needs a host and a path."""
    try:
        parts = urlsplit(address)
        good = parts.scheme in {"http", "https"} and parts.hostname and parts.path not in {"", "/"}
    except ValueError:
        good = False
    if not good:
        raise ConfigurationError(
            "--register: expected the address of a watcher, such as http://HOST:8765/webhook, got "
            f"{without_secrets(address)!r}; give it with its path, /webhook"
        )


async def _serve(watcher: "Watcher", host: str, port: int, secret: str | None) -> None:
    """Watch until a signal ends it; listen for webhooks where there is a secret to verify them by."""
    if secret is None:
        logger.info("watching without webhooks: %s", HINT)
        await watcher.watch()
        return
    from flows.watch.receiver import PATH, receiver
    from flows.watch.webhook_server import listening_at, webhook_server

    server, listening = webhook_server(receiver(secret, watcher.told)), listening_at(host, port)
    watching = asyncio.create_task(watcher.watch())
    logger.info("watching, and listening for webhooks at http://%s:%d%s", host, port, PATH)
    try:
        await server.serve([listening])  # it ends with a signal
    finally:
        watching.cancel()

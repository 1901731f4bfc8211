"""Clients of MLflow, one for each tracking URI, so that no global one is set."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.entities import PagedList

from tasks.errors import RegistryError, RegistryUnavailable, one_line, without_secrets

EMBEDDED = "sqlite:///"
MISSING = "RESOURCE_DOES_NOT_EXIST"
Entity = TypeVar("Entity")


@lru_cache(maxsize=8)
def client_for(tracking_uri: str) -> MlflowClient:
    """Return a client; an embedded SQLite store gets its folder and its tables at the first call.

    Raises RegistryError for an address of another kind, RegistryUnavailable for a store that cannot be opened.
    """
    if not tracking_uri.startswith((EMBEDDED, "http://", "https://")):
        raise RegistryError(
            "MLFLOW_TRACKING_URI: expected sqlite:///PATH or the http(s) address of an MLflow server, "
            f"got {without_secrets(tracking_uri)!r}; correct it"
        )
    try:
        if tracking_uri.startswith(EMBEDDED):
            Path(tracking_uri.removeprefix(EMBEDDED)).parent.mkdir(parents=True, exist_ok=True)
        return MlflowClient(tracking_uri, registry_uri=tracking_uri)
    except Exception as error:  # the database's own errors have no base in common with MLflow's
        raise unavailable(tracking_uri, error) from error


def is_made(tracking_uri: str) -> bool:
    """Tell whether a store is there to be read: an embedded one is made by the first use of its client."""
    return not tracking_uri.startswith(EMBEDDED) or Path(tracking_uri.removeprefix(EMBEDDED)).exists()


def experiment_id(client: MlflowClient, name: str) -> str:
    """Return an experiment by name, made where it is missing; an embedded store keeps artifacts beside its database."""
    uri = client.tracking_uri
    location = None
    if uri.startswith(EMBEDDED):
        location = str(Path(uri.removeprefix(EMBEDDED)).resolve().parent / "artifacts" / name)
    try:
        found = client.get_experiment_by_name(name)
        if found is None:
            return str(client.create_experiment(name, artifact_location=location))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise unavailable(uri, error) from error
        found = client.get_experiment_by_name(name)  # another process made it in between
    if found is None or found.lifecycle_stage != "active":
        raise RegistryError(
            f"experiment {name}: expected one that runs can be added to, got a deleted one; "
            "restore it in MLflow (mlflow experiments restore) or delete it for good (mlflow gc)"
        )
    return str(found.experiment_id)


def all_pages(search: Callable[[str | None], PagedList[Entity]]) -> list[Entity]:
    """Return everything that a search finds; `search` takes the token of a page, None for the first."""
    found: list[Entity] = []
    token: str | None = None
    while True:
        page = search(token)
        found += page
        token = page.token or None
        if token is None:
            return found


def unavailable(tracking_uri: str, error: Exception) -> RegistryUnavailable:
    """Return the error for an MLflow that does not answer: that is neither a yes nor a no."""
    return RegistryUnavailable(
        f"MLflow at {without_secrets(tracking_uri)}: expected an answer, got {one_line(error)}; "
        "see that its server runs, and that MLFLOW_TRACKING_URI is its address"
    )

"""The services of docker/compose.yaml as processes, with a watcher, for measurements of what they do together."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
from cryptography.fernet import Fernet
from mlflow import MlflowClient

from tasks.registry import register_upstream
from tests.edge_runtime.processes import wait_until
from tests.end_to_end.prefect_api import PrefectApi
from tests.end_to_end.servers import Stack
from tests.end_to_end.tiny.upstream import EXAMPLE, trained
from tests.tasks.registry.versions import add_like

SECRET = "a secret of the benchmark"
TOLD = {
    "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": Fernet.generate_key().decode(),
    "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
    "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
    "MLFLOW_WEBHOOK_CACHE_TTL": "0",
}
MAIN = "from flows.cli import main; main()"


@dataclass(frozen=True)
class Installation:
    """Running servers, and the port that a watcher listens on."""

    stack: Stack
    port: int

    @property
    def registry(self) -> MlflowClient:
        """A client of the MLflow server."""
        return MlflowClient(self.stack.mlflow, registry_uri=self.stack.mlflow)

    @property
    def store(self) -> MlflowClient:
        """A client that writes into the server's database behind its back, so that no webhook is fired."""
        address = f"sqlite:///{self.stack.root}/var/lib/mlflow/mlflow.db"
        return MlflowClient(address, registry_uri=address)

    def run(self, *arguments: str, **variables: str) -> subprocess.Popen[bytes]:
        """Start the command line with the servers' addresses."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "MLFLOW_"))}
        environment |= {"MLFLOW_TRACKING_URI": self.stack.mlflow, "PREFECT_API_URL": self.stack.prefect, **variables}
        environment |= {"EDGEWRIGHT_HOME": str(self.stack.root / "watch"), "PYTHONPATH": str(Path.cwd())}
        with (self.stack.root / "watcher.log").open("ab") as log:
            return subprocess.Popen([sys.executable, "-c", MAIN, *arguments], env=environment, stdout=log, stderr=log)

    @contextmanager
    def watching(self, recipes: Sequence[str], *, webhooks: bool, seconds: float = 5.0) -> Iterator[None]:
        """Run a watcher until the block ends; with webhooks, MLflow tells it what happens."""
        named = [word for recipe in recipes for word in ("--recipe", recipe)]
        secret = {"EDGEWRIGHT_WEBHOOK_SECRET": SECRET} if webhooks else {}
        if webhooks:
            told = self.run("watch", "--register", f"http://127.0.0.1:{self.port}/webhook", **secret)
            if told.wait(120):
                raise RuntimeError("expected the webhook to be made; see watcher.log")
        process = self.run("watch", "--port", str(self.port), "--seconds", str(seconds), *named, **secret)
        try:
            if webhooks:
                wait_until(self._listens, seconds=120)
            yield
        finally:
            process.terminate()  # SIGINT is ignored in what a shell has put into the background
            process.wait(30)

    def _listens(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/health", trust_env=False).is_success
        except httpx.HTTPError:
            return False


@contextmanager
def installed(root: Path) -> Iterator[tuple[Installation, PrefectApi]]:
    """Start MLflow, Prefect and the deployments; the worker is left to the caller."""
    stack = Stack(root)
    mlflow = stack.services["mlflow"]
    stack.services["mlflow"] = replace(mlflow, environment={**mlflow.environment, **TOLD})
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = int(found.getsockname()[1])
    try:
        stack.begin("mlflow")
        stack.complete("deploy")
        stack.start("mlflow")
        with PrefectApi(stack.prefect) as api:
            api.pause("reconcile/edgewright")
            yield Installation(stack, port), api
    finally:
        stack.stop()


class Versions:
    """The versions of one model: the first is trained, the others are the same program under further numbers."""

    def __init__(self, address: str, model: str, seed: int = 0) -> None:
        self.client = MlflowClient(address, registry_uri=address)
        self.model = model
        first = register_upstream(address, model, trained(seed=seed), EXAMPLE, {"seed": seed})
        self.first = self.client.get_model_version(model, first)

    def add(self) -> str:
        """Register the program once more; return the version."""
        return add_like(self.client, self.model, self.first)

    def add_directly(self, store: MlflowClient) -> str:
        """Register the program in the server's database, which knows it by its place alone; return the version."""
        place = self.client.get_logged_model(str(self.first.source).removeprefix("models:/")).artifact_location
        return str(store.create_model_version(self.model, place, run_id=self.first.run_id).version)

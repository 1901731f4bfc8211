"""The table of services: the one place of their commands, settings, secrets, dependencies and health checks.

`edgewright up`, `edgewright units` and docker/compose.yaml are made from it or checked against it.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from flows.environment import QUIET, SHARED_MACHINE
from flows.services.site import Site

Condition: TypeAlias = Literal["service_healthy", "service_completed_successfully"]  # the words of compose
HEALTHY: Condition = "service_healthy"
COMPLETED: Condition = "service_completed_successfully"
POOL = "edgewright"
NOTIFY = "EDGEWRIGHT_NOTIFY"
BOX = "EDGEWRIGHT_BOX"
"""Variable with the folder that devices put their reports into."""
OF_KEYS = ("EDGEWRIGHT_KEYS", "EDGEWRIGHT_KEYS_PASSPHRASE_FILE")
"""Variables with the folder of the keys that the worker signs with, and the file with their passphrase."""


@dataclass(frozen=True)
class Secret:
    """A secret that a service needs: the variable that takes it, or its file where `by_file` says so."""

    name: str
    variable: str
    by_file: bool = False


ENCRYPTION_KEY = Secret("mlflow-encryption-key", "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY")
WEBHOOK_SECRET = Secret("webhook-secret", "EDGEWRIGHT_WEBHOOK_SECRET", by_file=True)


@dataclass(frozen=True)
class Service:
    """A process that runs always, or one (`once`) that does one thing and ends.

    `after` maps the services that it waits for to the conditions that they must meet; `health` is an address that
    answers 200 once the service does its work; `address` is what people open. `inherited` are variables that people set
    for all services.
    """

    name: str
    purpose: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    after: Mapping[str, Condition] = field(default_factory=dict)
    health: str | None = None
    address: str | None = None
    secrets: tuple[Secret, ...] = ()
    inherited: tuple[str, ...] = ()

    @property
    def once(self) -> bool:
        """Tell a service that does one thing and ends."""
        return self.health is None


def services(site: Site) -> tuple[Service, ...]:
    """Return the services in the order in which they start."""
    return (
        _mlflow(site),
        _prefect(site),
        _pool(site),
        _deploy(site),
        _webhook(site),
        _worker(site),
        _watch(site),
    )


def _mlflow(site: Site) -> Service:
    port = site.ports.mlflow
    hosts = dict.fromkeys((site.host("mlflow"), "localhost", "127.0.0.1"))
    artifacts = f"{site.mlflow_folder}/artifacts"
    return Service(
        name="mlflow",
        purpose="MLflow: the registry, runs and reports",
        command=(
            "mlflow",
            "server",
            f"--host={site.bind}",
            f"--port={port}",
            "--workers=1",
            f"--backend-store-uri=sqlite:///{site.mlflow_folder}/mlflow.db",
            *(
                (f"--artifacts-destination={artifacts}",)
                if site.serves_artifacts
                else ("--no-serve-artifacts", f"--default-artifact-root={artifacts}")
            ),
            "--allowed-hosts=" + ",".join(f"{host}:{port}" for host in hosts),
        ),
        environment={
            **_COMMON,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # eight processes for evaluations that nobody asks it for
            "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
            "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",  # the watcher is on this machine or in this network
            "MLFLOW_WEBHOOK_CACHE_TTL": "0",  # by default events of the first minute of a webhook are lost
        },
        health=f"http://127.0.0.1:{port}/health",
        address=f"http://{site.seen_host}:{port}",
        secrets=(ENCRYPTION_KEY,),  # by default each process makes its own, and a restart loses the webhook's secret
    )


def _prefect(site: Site) -> Service:
    port = site.ports.prefect
    return Service(
        name="prefect",
        purpose="Prefect: runs, schedules and their pages",
        command=("prefect", "server", "start", f"--host={site.bind}", f"--port={port}"),
        environment={
            **_COMMON,
            "PREFECT_HOME": str(site.prefect_folder),
            # In memory, as by default, a lease outlives a killed server for ever: every later run is then cancelled.
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
            "PREFECT_SERVER_UI_API_URL": f"http://{site.seen_host}:{port}/api",  # where the browser finds it
        },
        health=f"http://127.0.0.1:{port}/api/health",
        address=f"http://{site.seen_host}:{port}",
    )


def _pool(site: Site) -> Service:
    return Service(
        name="pool",
        purpose="makes the work pool, back to its defaults at every start",
        command=("prefect", "work-pool", "create", POOL, "--type=process", "--overwrite"),
        environment=_prefect_client(site),
        after={"prefect": HEALTHY},
    )


def _deploy(site: Site) -> Service:
    return Service(
        name="deploy",
        purpose="puts the flows on the Prefect server",
        command=("prefect", "--no-prompt", "deploy", "--all", f"--prefect-file={site.prefect_file}"),
        environment=_prefect_client(site),
        after={"pool": COMPLETED},
    )


def _webhook(site: Site) -> Service:
    address = f"http://{site.host('watch')}:{site.ports.watch}/webhook"
    return Service(
        name="webhook",
        purpose="has MLflow tell the watcher of new versions",
        command=("edgewright", "watch", f"--register={address}"),
        environment={**_COMMON, **_places(site)},
        after={"mlflow": HEALTHY},
        secrets=(WEBHOOK_SECRET,),
    )


def _worker(site: Site) -> Service:
    port = site.ports.worker
    start = ("prefect", "worker", "start", "--pool", POOL, "--type", "process", "--limit", "1", "--with-healthcheck")
    return Service(
        name="worker",
        purpose="works on the runs, one at a time",
        command=start,
        environment={
            **_prefect_client(site),
            **_of_runs(site),
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PREFECT_WORKER_WEBSERVER_HOST": "127.0.0.1",
            "PREFECT_WORKER_WEBSERVER_PORT": str(port),
        },
        after={"deploy": COMPLETED, "prefect": HEALTHY},  # a run waits for MLflow by itself
        health=f"http://127.0.0.1:{port}/health",
        inherited=(BOX, NOTIFY, *OF_KEYS),
    )


def _watch(site: Site) -> Service:
    port = site.ports.watch
    return Service(
        name="watch",
        purpose="starts the wanted runs and finds the dead ones",
        command=("edgewright", "watch", f"--host={site.bind}", f"--port={port}"),
        environment={**_prefect_client(site), **_of_runs(site)},
        # It waits for the servers and the deployments by itself.
        health=f"http://127.0.0.1:{port}/health",
        secrets=(WEBHOOK_SECRET,),
        inherited=(NOTIFY,),
    )


_COMMON: Mapping[str, str] = {**QUIET, **SHARED_MACHINE}


def _prefect_client(site: Site) -> dict[str, str]:
    return {
        **_COMMON,
        "PREFECT_API_URL": f"http://{site.host('prefect')}:{site.ports.prefect}/api",
        "PREFECT_HOME": f"{site.home}/prefect-client",  # nothing is written into the user's own home
    }


def _places(site: Site) -> dict[str, str]:
    return {
        "EDGEWRIGHT_HOME": str(site.home),
        "EDGEWRIGHT_TARGET": site.published,
        "MLFLOW_TRACKING_URI": f"http://{site.host('mlflow')}:{site.ports.mlflow}",
    }


def _of_runs(site: Site) -> dict[str, str]:
    """Return the settings of those that run or start runs: the recipes, and where people open MLflow's pages."""
    recipes = {"EDGEWRIGHT_RECIPES": os.pathsep.join(site.recipes)} if site.recipes else {}
    pages = {"EDGEWRIGHT_MLFLOW_PAGES": f"http://{site.seen_host}:{site.ports.mlflow}"} if site.in_containers else {}
    return _places(site) | recipes | pages

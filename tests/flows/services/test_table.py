"""The table of services: every setting in it exists, nothing listens to the network, no secret is written down."""

import ast
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import mlflow.environment_variables
import pytest
import yaml
from prefect.settings import Settings
from prefect.settings.legacy import _get_valid_setting_names

from flows.environment import QUIET
from flows.services.table import COMPLETED, Service, services
from tests.flows.services.sites import site_of

HOME = Path("/home/somebody/.edgewright")
TABLE = services(site_of(HOME))
OF_PREFECT = _get_valid_setting_names(Settings)
OF_MLFLOW = {getattr(each, "name", "") for each in vars(mlflow.environment_variables).values()}

every_service = pytest.mark.parametrize("service", TABLE, ids=lambda service: service.name)


def _pool_variables() -> dict[str, str]:
    content = yaml.safe_load((resources.files("deployments") / "prefect.yaml").read_text())
    variables: dict[str, str] = content["definitions"]["work_pool"]["job_variables"]["env"]
    return variables


def _unknown(names: set[str]) -> set[str]:
    known = OF_PREFECT | OF_MLFLOW
    return {name for name in names if name.startswith(("PREFECT_", "MLFLOW_"))} - known - set(_of_logs())


def _of_logs(content: Any = None, name: str = "PREFECT_LOGGING") -> Iterator[str]:
    """Yield a variable for each key of Prefect's logging.yml: each can be set so."""
    if content is None:
        content = yaml.safe_load(resources.files("prefect.logging").joinpath("logging.yml").read_text())
    yield name
    for key, inner in content.items() if isinstance(content, dict) else ():
        yield from _of_logs(inner or "", f"{name}_{key.upper()}")


@every_service
def test_every_setting_is_one_that_prefect_or_mlflow_has(service: Service) -> None:
    assert not _unknown(set(service.environment) | {secret.variable for secret in service.secrets})


def test_every_setting_of_a_run_is_one_that_prefect_or_mlflow_has() -> None:
    assert not _unknown(set(_pool_variables()))
    assert _unknown({"PREFECT_FLOWS_HEARTBEAT_SECONDS", "MLFLOW_HTTP_RETRIES"})  # a wrong one would be noticed


def test_a_run_waits_for_servers_that_are_away_for_a_minute() -> None:
    variables = _pool_variables()
    factor = float(variables["MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR"])
    # Both clients double their pauses. urllib3 makes none before the first of its retries.
    of_mlflow = sum(factor * 2**count for count in range(1, int(variables["MLFLOW_HTTP_REQUEST_MAX_RETRIES"])))
    of_prefect = sum(2**count for count in range(1, int(variables["PREFECT_CLIENT_MAX_RETRIES"]) + 1))
    assert of_mlflow > 60 + 20 and of_prefect > 60 + 20  # and 20 s for the start of the server


@every_service
def test_it_phones_nobody(service: Service) -> None:
    assert service.environment.items() >= QUIET.items()


@every_service
def test_nothing_is_open_to_the_network(service: Service) -> None:
    text = f"{service.command} {service.environment}"
    assert "0.0.0.0" not in text
    for host in re.findall(r"https?://([^:/']+)", text):
        assert host in {"127.0.0.1", "localhost"}


@every_service
def test_it_waits_for_services_before_it_in_a_way_that_they_can_fulfil(service: Service) -> None:
    names = [each.name for each in TABLE]
    for other, condition in service.after.items():
        assert names.index(other) < names.index(service.name)
        assert TABLE[names.index(other)].once == (condition == COMPLETED)


@every_service
def test_what_it_writes_is_below_the_home(service: Service) -> None:
    for folder in re.findall(r"(?:/[\w.-]+){2,}", " ".join((*service.command, *service.environment.values()))):
        shipped = folder.startswith(str(Path(str(resources.files("deployments"))).parent))
        assert folder.startswith(str(HOME)) or shipped or re.match(r"//(127|localhost)", folder), folder


def test_settings_that_survive_a_kill_are_there() -> None:
    by_name = {service.name: service for service in TABLE}
    storage = by_name["prefect"].environment["PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"]
    assert resources.files(storage.rpartition(".")[0]).joinpath(f"{storage.rpartition('.')[2]}.py").is_file()
    assert storage.endswith(".filesystem")
    assert [secret.variable for secret in by_name["mlflow"].secrets] == ["MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY"]


def test_one_machine_has_the_registry_that_commands_without_a_server_read() -> None:
    from tasks.workspace import Workspace

    (mlflow_server,) = (service for service in TABLE if service.name == "mlflow")
    assert f"--backend-store-uri={Workspace.at(HOME).tracking_uri}" in mlflow_server.command
    assert "--no-serve-artifacts" in mlflow_server.command


def test_the_webhook_and_the_watcher_meet() -> None:
    by_name = {service.name: service for service in TABLE}
    (port,) = (word.partition("=")[2] for word in by_name["watch"].command if word.startswith("--port="))
    (told,) = (word.partition("=")[2] for word in by_name["webhook"].command if word.startswith("--register="))
    assert told == f"http://127.0.0.1:{port}/webhook"
    receiver = resources.files("flows").joinpath("watch/receiver.py").read_text()
    (path,) = (
        ast.literal_eval(node.value)
        for node in ast.parse(receiver).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PATH"
    )
    assert told.endswith(path)

"""docker/compose.yaml as far as it can be judged without an engine; tests/end_to_end runs its commands."""

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from compose_spec import PyCompose

from flows.services.site import Site
from flows.services.table import Service, services
from tests.docker.compose import read_compose, read_services
from tests.docker.dockerfiles import DOCKER

SITE = Site(
    home=Path("/var/lib/edgewright"),
    target=Path("/var/lib/edgewright/target"),
    mlflow_folder=Path("/var/lib/mlflow"),
    prefect_folder=Path("/var/lib/prefect"),
    prefect_file="deployments/prefect.yaml",
    in_containers=True,
)


def test_it_is_a_compose_file() -> None:
    assert PyCompose.from_json(json.dumps(read_compose())).service_names() == list(read_services())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content["services"]["worker"].update(enviroment={}),
        lambda content: content["services"]["pool"]["depends_on"]["prefect"].update(condition="healthy"),
        lambda content: content["services"]["mlflow"].update(ports=["127.0.0.1:5000:99999"]),
    ],
)
def test_a_wrong_one_would_be_noticed(spoil: Callable[[dict[str, Any]], None]) -> None:
    content = copy.deepcopy(read_compose())
    spoil(content)
    with pytest.raises(ValueError):
        PyCompose.from_json(json.dumps(content))


def test_every_service_runs_the_pipeline_image() -> None:
    content = read_compose()
    services = content["services"].values()
    assert {service["image"] for service in services} == {"edgewright-pipeline"}
    for service in services:
        context = DOCKER / service["build"]["context"]
        assert (context / service["build"]["dockerfile"]).is_file()


def test_services_wait_for_services_that_can_say_when_they_are_ready() -> None:
    services = read_services()
    for service in services.values():
        for other, condition in service.depends_on.items():
            assert condition in {"service_healthy", "service_completed_successfully"}
            assert (condition == "service_healthy") == (services[other].healthcheck is not None)


def test_what_does_one_thing_is_not_restarted() -> None:
    for name, content in read_compose()["services"].items():
        assert (content["restart"] in {"no", "on-failure"}) == (name in {"pool", "deploy", "webhook"})


def test_addresses_are_those_of_services_and_their_ports() -> None:
    services = read_services()
    allowed = _option(services["mlflow"].command, "allowed-hosts").split(",")
    for service in services.values():
        for address in re.findall(r"http://([\w.]+:\d+)", json.dumps(dict(service.environment))):
            host, port = address.split(":")
            if host != "localhost":
                assert _option(services[host].command, "port") == port
            assert host != "mlflow" or address in allowed
    assert {"localhost:5000", "127.0.0.1:5000"} <= set(allowed)


def test_ports_are_open_to_this_machine_only() -> None:
    ports = [port for service in read_compose()["services"].values() for port in service.get("ports", [])]
    assert sorted(ports) == ["127.0.0.1:4200:4200", "127.0.0.1:5000:5000"]


def test_what_is_kept_lies_on_named_volumes_that_the_image_gives_to_its_user() -> None:
    content = read_compose()
    mounts = [mount.split(":") for service in content["services"].values() for mount in service.get("volumes", [])]
    assert {name for name, _ in mounts} == set(content["volumes"])
    pipeline = (DOCKER / "pipeline.Dockerfile").read_text()
    assert all(re.search(rf"install --directory --owner \w+ .*{target}\b", pipeline) for _, target in mounts)


def test_no_secret_is_written_down_and_none_has_a_default() -> None:
    for service in read_services().values():
        for key, value in service.environment.items():
            if re.search(r"PASSWORD|SECRET|TOKEN|_KEY$|PASSPHRASE$", key):
                assert re.fullmatch(rf"\$\{{{key}:\?[^}}]+\}}", value), key


@pytest.mark.parametrize("service", services(SITE), ids=lambda service: service.name)
def test_every_service_is_as_the_table_says(service: Service) -> None:
    written = read_services()[service.name]
    assert written.command == service.command
    assert written.depends_on == service.after
    assert written.environment.items() >= service.environment.items()
    asked = {key for key, value in written.environment.items() if value.startswith("${")}
    assert asked == {secret.variable for secret in service.secrets} | set(service.inherited)
    assert (written.healthcheck is None) == service.once
    assert service.once or f"'{service.health}'" in str(written.healthcheck)


def test_the_file_has_no_service_and_no_setting_that_the_table_does_not_have() -> None:
    table = {service.name: service for service in services(SITE)}
    assert list(read_compose()["services"]) == list(table)
    for name, content in read_compose()["services"].items():
        secrets = {secret.variable for secret in table[name].secrets}
        named = set(table[name].environment) | secrets | set(table[name].inherited)
        assert set(content.get("environment", {})) <= named


def _option(command: tuple[str, ...], name: str) -> str:
    [value] = [word.split("=", 1)[1] for word in command if word.startswith(f"--{name}=")]
    return value

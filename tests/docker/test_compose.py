"""docker/compose.yaml as far as it can be judged without an engine; tests/end_to_end runs its commands."""

import copy
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from compose_spec import PyCompose

from tests.docker.compose import read_compose, read_services
from tests.docker.dockerfiles import DOCKER


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
        assert (content["restart"] == "no") == (name in {"pool", "deploy"})


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
    assert sorted(name for name, _ in mounts) == sorted(content["volumes"])
    pipeline = (DOCKER / "pipeline.Dockerfile").read_text()
    assert all(re.search(rf"install --directory --owner \w+ .*{target}\b", pipeline) for _, target in mounts)


def test_no_secret_is_written_down() -> None:
    for service in read_services().values():
        assert not [key for key in service.environment if re.search(r"PASSWORD|SECRET|TOKEN|_KEY", key)]


def _option(command: tuple[str, ...], name: str) -> str:
    [value] = [word.split("=", 1)[1] for word in command if word.startswith(f"--{name}=")]
    return value

"""deployments/prefect.yaml: nothing in it is dead, and what it names is there."""

import inspect
from importlib import metadata, resources
from typing import Any

import pytest
import yaml
from prefect.cli.deploy._models import (
    ConcurrencyLimitSpec,
    DeploymentConfig,
    PrefectYamlModel,
    RawScheduleConfig,
    WorkPoolConfig,
)
from prefect.flows import Flow, load_flow_from_entrypoint
from pydantic import BaseModel

from flows.environment import QUIET
from flows.watch.dead_runs import HEARTBEAT_S

CONTENT: dict[str, Any] = yaml.safe_load((resources.files("deployments") / "prefect.yaml").read_text())
DEPLOYMENTS: dict[str, dict[str, Any]] = {item["entrypoint"]: item for item in CONTENT["deployments"]}
OURS = {"definitions"}  # where YAML anchors live

every_deployment = pytest.mark.parametrize("entrypoint", list(DEPLOYMENTS))


def _unknown(content: dict[str, Any], model: type[BaseModel]) -> set[str]:
    """Keys that Prefect would pass over in silence."""
    known = {name for key, field in model.model_fields.items() for name in (key, field.alias)}
    return set(content) - known


def test_prefect_reads_every_key() -> None:
    assert _unknown(CONTENT, PrefectYamlModel) == OURS
    for deployment in DEPLOYMENTS.values():
        assert not _unknown(deployment, DeploymentConfig)
        assert not _unknown(deployment["work_pool"], WorkPoolConfig)
        assert not _unknown(deployment.get("concurrency_limit", {}), ConcurrencyLimitSpec)
        for schedule in deployment.get("schedules", []):
            assert not _unknown(schedule, RawScheduleConfig)


def test_it_is_written_for_the_prefect_that_is_pinned() -> None:
    assert CONTENT["prefect-version"] == metadata.version("prefect")


def test_every_flow_that_people_start_is_deployed() -> None:
    assert list(DEPLOYMENTS) == [
        "flows.reconcile.reconcile",
        "flows.keys.resigning.resign",
        "flows.field.ingest_flow.ingest",
        "flows.deployed.compress",
        "flows.sign_off.sign_off_form.sign_off",
    ]


@every_deployment
def test_its_entrypoint_is_a_flow_that_takes_its_parameters(entrypoint: str) -> None:
    flow: Flow[..., Any] = load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False)
    assert isinstance(flow, Flow)
    inspect.signature(flow.fn).bind_partial(**DEPLOYMENTS[entrypoint].get("parameters", {}))


@every_deployment
def test_people_read_what_it_does(entrypoint: str) -> None:
    said = DEPLOYMENTS[entrypoint]["description"]
    assert len(said.splitlines()) > 2 and "\n- " in said  # Markdown, a paragraph and a list


@every_deployment
def test_a_run_stays_where_the_worker_is_and_phones_nobody(entrypoint: str) -> None:
    variables = DEPLOYMENTS[entrypoint]["work_pool"]["job_variables"]
    assert variables["working_dir"] == "."
    assert variables["env"].items() >= QUIET.items()


@every_deployment
def test_a_run_gives_the_signs_of_life_that_the_watcher_waits_for(entrypoint: str) -> None:
    variables = DEPLOYMENTS[entrypoint]["work_pool"]["job_variables"]["env"]
    assert variables["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == str(HEARTBEAT_S)


def test_nothing_is_pulled() -> None:
    assert CONTENT["pull"] == []  # left out, Prefect would write this machine's path into the deployment

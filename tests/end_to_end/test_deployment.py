"""The pipeline on servers of its own, as docker/compose.yaml and deployments/prefect.yaml put it there."""

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from mlflow import MlflowClient
from prefect.settings import PREFECT_API_URL, temporary_settings

from tests.docker.dockerfiles import DOCKER, command, read_dockerfile
from tests.edge_runtime.bundle.listing import manifests_in
from tests.edge_runtime.processes import wait_until
from tests.end_to_end.pager import Pager, save_webhook, taking_messages
from tests.end_to_end.prefect_api import PrefectApi
from tests.end_to_end.servers import Stack
from tests.end_to_end.tiny.upstream import MODEL, register

pytestmark = pytest.mark.end_to_end

RECIPE = "tests/end_to_end/tiny/recipes/tiny.yaml"
EDGE_MODEL = f"{MODEL}-tiny"
PAGER_TOKEN = "the-token-of-the-pager"
RECONCILE = "reconcile/edgewright"
COMPRESS = "compress/edgewright"


@pytest.fixture(scope="module")
def pager() -> Iterator[Pager]:
    """A service that takes notifications on loopback."""
    with taking_messages() as pager:
        yield pager


@pytest.fixture(scope="module")
def registry(stack: Stack, pager: Pager) -> MlflowClient:
    """A registry in which an upstream team registers a version while the rest of the stack starts."""
    told = {"EDGEWRIGHT_NOTIFY": "custom-webhook/pager, no-such/block"}
    worker = stack.services["worker"]
    stack.services["worker"] = replace(worker, environment={**worker.environment, **told})
    stack.begin("prefect")
    stack.start("mlflow")
    with ThreadPoolExecutor(1) as beside:
        started = beside.submit(stack.start, "worker")
        register(stack.mlflow)
        started.result()
    with temporary_settings({PREFECT_API_URL: stack.prefect}):
        save_webhook("pager", pager, PAGER_TOKEN)
    stack.complete("webhook")
    stack.start("watch")  # of the shipped recipes: it has nothing to say about this test's model
    return MlflowClient(stack.mlflow, registry_uri=stack.mlflow)


@pytest.fixture(scope="module")
def api(stack: Stack, registry: MlflowClient) -> Iterator[PrefectApi]:
    """The API of a server that knows the deployments and has a worker."""
    with PrefectApi(stack.prefect) as api:
        yield api


@pytest.fixture(scope="module")
def planned(api: PrefectApi) -> list[dict[str, Any]]:
    """The runs that the schedule will bring. It is paused then: a run that finds another at work is dropped."""
    # A library beside Prefect's own can break its scheduler, which only its log tells.
    wait_until(lambda: bool(api.planned("reconcile")), seconds=30)
    planned = api.planned("reconcile")
    api.pause(RECONCILE)
    wait_until(lambda: not any(api.runs_of("reconcile", state) for state in ("PENDING", "RUNNING")), seconds=120)
    return planned


@pytest.fixture(scope="module")
def first_run(
    stack: Stack,
    api: PrefectApi,
    planned: list[dict[str, Any]],
) -> dict[str, Any]:
    """The reconcile that finds the version and starts a run for it, which has ended too."""
    run = api.finished(RECONCILE, {"recipes": [RECIPE]}, seconds=300)
    assert run["state_type"] == "COMPLETED", f"{run['state']}\n{stack.log('worker')}"
    (compress,) = api.ended("compress")
    assert compress["state_type"] == "COMPLETED", f"{compress['state']}\n{stack.log('worker')}"
    return run


@pytest.mark.usefixtures("api")
def test_every_service_of_the_compose_file_runs(stack: Stack) -> None:
    assert set(stack.processes) == set(stack.services)


def test_reconcile_is_on_a_schedule_and_never_beside_itself(api: PrefectApi) -> None:
    deployed = api.deployment(RECONCILE)
    assert [entry["schedule"]["cron"] for entry in deployed["schedules"] if entry["active"]] == ["0 * * * *"]
    assert deployed["global_concurrency_limit"]["limit"] == 1
    assert deployed["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"


def test_the_server_plans_a_run_every_hour(planned: list[dict[str, Any]]) -> None:
    assert {run["expected_start_time"][14:19] for run in planned} == {"00:00"}


def test_nothing_is_fetched_to_run(api: PrefectApi) -> None:
    for name in (RECONCILE, COMPRESS):
        deployed = api.deployment(name)
        assert (deployed["pull_steps"], deployed["path"], deployed["storage_document_id"]) == ([], None, None)


@pytest.mark.usefixtures("first_run")
def test_a_registered_version_is_answered(registry: MlflowClient) -> None:
    edge = registry.get_model_version_by_alias(EDGE_MODEL, "deployed")
    assert (edge.tags["edgewright.source_version"], edge.tags["edgewright.verdict"]) == ("1", "pass")
    assert edge.run_id is not None
    report = registry.download_artifacts(edge.run_id, "report.html")
    assert "Published; the first model on this device." in Path(report).read_text(encoding="utf-8")
    assert registry.get_model_version(MODEL, "1").tags["edgewright.answer"] == "published"


def test_the_run_shows_what_the_pipeline_says(first_run: dict[str, Any], api: PrefectApi) -> None:
    [compress] = api.runs_of("compress")
    assert compress["name"] == f"{MODEL}-v1"
    found = f"model {MODEL} version 1: a run is started, as version 1 is new"
    wait_until(lambda: found in api.messages(first_run["id"]))  # a run sends what it logs in batches
    wait_until(lambda: any("pruning round 1 of at most 1" in message for message in api.messages(compress["id"])))


@pytest.mark.usefixtures("first_run")
def test_each_long_stage_is_a_task_with_its_name_and_device(api: PrefectApi) -> None:
    [compress] = api.runs_of("compress")
    stages = [
        "preflight", "resolve", "baseline", "prune", "pruning round 1", "record search", "distil tiny", "ladder tiny",
        "measure tiny, validation rows", "gates tiny", "measure tiny, test rows",
        "acceptance tiny", "record tiny", "publish tiny",
    ]  # fmt: skip
    wait_until(lambda: set(stages) <= {each["name"] for each in api.task_runs(compress["id"])}, seconds=60)
    wait_until(lambda: {each["state_type"] for each in api.task_runs(compress["id"])} == {"COMPLETED"}, seconds=60)
    began = {each["name"]: each["start_time"] for each in reversed(api.task_runs(compress["id"]))}
    order = (
        "preflight", "resolve", "baseline", "prune", "ladder tiny", "gates tiny", "acceptance tiny", "record tiny",
        "publish tiny",
    )  # fmt: skip
    assert [began[name] for name in order] == sorted(began[name] for name in order)


@pytest.mark.usefixtures("first_run")
def test_the_run_has_pages_on_its_rounds_rungs_gates_and_report(
    api: PrefectApi, registry: MlflowClient, stack: Stack
) -> None:
    [compress] = api.runs_of("compress")
    pages = api.artifacts(compress["id"])
    (round_1,) = json.loads(pages[f"{MODEL}-rounds"]["data"])
    assert (round_1["round"], round_1["kept"]) == (1, "yes")
    assert round_1["validation accuracy"] >= round_1["floor"]
    (rung,) = json.loads(pages[f"{MODEL}-tiny-rungs"]["data"])
    assert (rung["rung"], rung["gates hold"]) == ("PTQ minmax", "yes")
    gates = json.loads(pages[f"{MODEL}-tiny-gates"]["data"])
    assert {"accuracy against parent", "accuracy against deployed"} <= {gate["gate"] for gate in gates}
    for stage in ("rounds", "training", "tiny-rungs", "tiny-gates"):
        bar = pages[f"{MODEL}-{stage}-progress"]
        assert (bar["type"], float(bar["data"])) == ("progress", 100.0), stage
    edge = registry.get_model_version_by_alias(EDGE_MODEL, "deployed")
    link = f"{stack.mlflow}/#/experiments/"
    report = pages[f"{MODEL}-tiny-report"]["data"]
    assert link in report and f"/runs/{edge.run_id}/artifacts/report.html" in report
    assert "published (closest: " in report


@pytest.mark.usefixtures("first_run")
def test_people_are_told_once_what_came_of_the_version(pager: Pager, stack: Stack) -> None:
    wait_until(lambda: bool(pager.bodies))
    (told,) = [json.loads(body) for body in pager.bodies]
    assert told["subject"] == f"Edgewright: {MODEL} version 1: published"
    assert told["body"].startswith("Recipe tiny.\ntiny: published (closest: ")
    assert f"  Report: {stack.mlflow}/#/experiments/" in told["body"]
    assert "no-such/block: expected it to be there" in stack.log("worker", 400)  # and it changed nothing
    for name in ("worker", "prefect"):
        assert PAGER_TOKEN not in stack.log(name, 100_000)


def test_the_form_of_compress_says_what_to_write(api: PrefectApi) -> None:
    schema = api.deployment(COMPRESS)["parameter_openapi_schema"]
    assert schema["properties"]["model"]["title"] == "Registered model"
    assert all(said["title"] and said["description"] for said in schema["properties"].values())


@pytest.mark.usefixtures("first_run")
def test_a_device_takes_what_was_published(stack: Stack) -> None:
    [bundle] = manifests_in(stack.workspace / "target", MODEL, "tiny")
    entrypoint = command(read_dockerfile(DOCKER / "edge.Dockerfile"), "ENTRYPOINT")
    verified = subprocess.run(
        [sys.executable, *entrypoint[1:], "verify", str(bundle)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert verified.stdout.startswith(f"intact: {MODEL} version 1 for tiny"), verified.stderr


@pytest.mark.usefixtures("first_run")
def test_a_second_reconcile_computes_nothing(api: PrefectApi, registry: MlflowClient, stack: Stack) -> None:
    before = _state(registry)
    run = api.finished(RECONCILE, {"recipes": [RECIPE]})
    assert run["state_type"] == "COMPLETED", stack.log("worker")
    assert len(api.runs_of("compress")) == 1
    assert _state(registry) == before


@pytest.mark.usefixtures("first_run")
def test_a_run_that_an_error_of_ours_ends_says_its_sentence_without_a_traceback(api: PrefectApi, stack: Stack) -> None:
    run = api.finished(COMPRESS, {"model": MODEL, "version": "99", "recipe": RECIPE})
    assert run["state_type"] == "FAILED" and "expected" in run["state"]["message"]
    wait_until(lambda: any("Encountered exception" in message for message in api.messages(run["id"])))
    assert not any("Traceback" in message for message in api.messages(run["id"]))
    assert "HTTP Request:" not in stack.log("worker")  # a line of httpx for each call would hide all others


def test_compress_refuses_a_version_that_is_no_text(api: PrefectApi) -> None:
    refused = api.submit(COMPRESS, {"model": MODEL, "version": 1, "recipe": RECIPE})
    assert refused.status_code == httpx.codes.CONFLICT
    assert "1 is not of type 'string'" in refused.text


def _state(registry: MlflowClient) -> list[tuple[str, int]]:
    """Every run of every experiment with its end, and every version of the edge model with its last change."""
    experiments = [experiment.experiment_id for experiment in registry.search_experiments()]
    runs = [(run.info.run_id, run.info.end_time) for run in registry.search_runs(experiments)]
    versions = registry.search_model_versions(f"name='{EDGE_MODEL}'")
    return sorted(runs) + [(version.version, version.last_updated_timestamp) for version in versions]

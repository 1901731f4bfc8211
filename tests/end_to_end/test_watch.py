"""`edgewright watch` on real servers: a registration becomes one run, told by a webhook or found by a look."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.fernet import Fernet
from mlflow import MlflowClient
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterTags
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Failed

from deployments.recipe import read_recipe
from flows.watch.wanted_runs import DEPLOYMENT, ensure_run, tag_of
from tasks.planning import WantedRun
from tests.edge_runtime.processes import wait_until
from tests.end_to_end.pager import save_webhook, taking_messages
from tests.end_to_end.prefect_api import PrefectApi
from tests.end_to_end.servers import Stack
from tests.tasks.registry.versions import add_version

pytestmark = pytest.mark.end_to_end
SECRET = "a secret of the test"
RECIPE = "tests/end_to_end/tiny/recipes/tiny.yaml"
MODEL = "tiny"
TOLD = {
    "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": Fernet.generate_key().decode(),
    "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
    "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
    "MLFLOW_WEBHOOK_CACHE_TTL": "0",
}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An MLflow server that may tell this machine of events, and a Prefect server without a worker."""
    stack = Stack(tmp_path_factory.mktemp("watched"))
    mlflow = stack.services["mlflow"]
    stack.services["mlflow"] = replace(mlflow, environment={**mlflow.environment, **TOLD})
    stack.begin("mlflow")
    stack.start("prefect")
    stack.start("mlflow")
    with temporary_settings({PREFECT_API_URL: stack.prefect}):
        asyncio.run(_deploy())
    yield stack
    stack.stop()


@pytest.fixture
def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


async def _deploy() -> None:
    @flow(name="compress")
    def compress(model: str, version: str, recipe: str) -> None: ...

    async with get_client() as client:
        identity = await client.create_flow(compress)
        await client.create_deployment(identity, DEPLOYMENT.partition("/")[2], parameter_openapi_schema={})


async def _fail_every_attempt(version: str) -> None:
    """Have all attempts at a version made, as the watcher makes them, and end each without an answer."""
    mark = f"new under {read_recipe(Path(RECIPE)).digest}"
    wanted = WantedRun(MODEL, version, RECIPE, f"version {version} is new", mark)
    later = datetime.now(UTC) + timedelta(days=1)
    async with get_client() as client:
        while await ensure_run(client, wanted, later) == "started":
            tagged = FlowRunFilter(tags=FlowRunFilterTags(all_=[tag_of(wanted)]))
            for made in await client.read_flow_runs(flow_run_filter=tagged):
                await client.set_flow_run_state(made.id, Failed(), force=True)


def run(stack: Stack, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Start the command line with the servers' addresses."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "MLFLOW_"))}
    environment |= {"MLFLOW_TRACKING_URI": stack.mlflow, "PREFECT_API_URL": stack.prefect, **variables}
    environment |= {"EDGEWRIGHT_HOME": str(stack.root / "watch"), "PYTHONPATH": str(Path.cwd())}
    command = [sys.executable, "-c", "from flows.cli import main; main()", "watch", *arguments]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


@contextmanager
def watching(stack: Stack, port: int, *arguments: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Run a watcher until the block ends, from when it listens."""
    process = run(stack, "--recipe", RECIPE, "--port", str(port), *arguments, **variables)
    try:
        if variables:
            wait_until(lambda: _is_healthy(port), seconds=60)
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)


def _is_healthy(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def runs(stack: Stack) -> list[dict[str, Any]]:
    """Return the runs that Prefect has."""
    with PrefectApi(stack.prefect) as api:
        return api.runs_of("compress")


def versions_with_runs(stack: Stack) -> list[str]:
    """Return the version of each run, sorted."""
    return sorted(found["parameters"]["version"] for found in runs(stack))


def test_a_registration_becomes_one_run_by_webhook_and_by_looking(servers: Stack, free_port: int) -> None:
    address = f"http://127.0.0.1:{free_port}/webhook"
    for _ in range(2):  # the webhook is made once
        registered = run(servers, "--register", address, EDGEWRIGHT_WEBHOOK_SECRET=SECRET)
        said = registered.communicate(timeout=60)[0]
        assert registered.returncode == 0 and address in said, said
    (webhook,) = MlflowClient(servers.mlflow, registry_uri=servers.mlflow).list_webhooks()
    assert webhook.url == address
    with watching(servers, free_port, "--seconds", "3600", EDGEWRIGHT_WEBHOOK_SECRET=SECRET):
        version = add_version(servers.mlflow, MODEL, "s3://nothing/1")  # only the webhook can tell of it
        wait_until(lambda: versions_with_runs(servers) == [version], seconds=30)
    with watching(servers, free_port):  # no webhook: it looks
        second = add_version(servers.mlflow, MODEL, "s3://nothing/2")
        wait_until(lambda: versions_with_runs(servers) == [version, second], seconds=60)
        time.sleep(6)  # another look
    assert versions_with_runs(servers) == [version, second]
    (first, *_) = runs(servers)
    assert first["parameters"]["cause"].endswith("is new")


def test_a_person_is_told_by_the_watcher_that_no_attempt_gave_an_answer(servers: Stack) -> None:
    with taking_messages() as pager, temporary_settings({PREFECT_API_URL: servers.prefect}):
        save_webhook("person", pager, "a token of the test")
        version = add_version(servers.mlflow, MODEL, "s3://nothing/3")
        asyncio.run(_fail_every_attempt(version))
        process = run(servers, "--recipe", RECIPE, "--seconds", "1", EDGEWRIGHT_NOTIFY="custom-webhook/person")
        try:
            wait_until(lambda: bool(pager.bodies), seconds=120)
            time.sleep(4)  # further looks
        finally:
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=30)[0]
    (told,) = [json.loads(body) for body in pager.bodies]
    assert told["subject"] == f"Edgewright: {MODEL} version {version}: needs a person", said
    assert f"edgewright compress {MODEL} {version} --recipe {RECIPE}" in told["body"]


def test_a_watcher_does_not_start_with_blocks_of_no_such_form(servers: Stack) -> None:
    process = run(servers, "--recipe", RECIPE, EDGEWRIGHT_NOTIFY="ops")
    said = process.communicate(timeout=120)[0]
    assert process.returncode == 2
    assert "EDGEWRIGHT_NOTIFY: expected blocks as TYPE/NAME" in said


def test_a_watcher_waits_for_servers_that_are_away(servers: Stack, free_port: int) -> None:
    away = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{free_port}", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    process = run(servers, "--recipe", RECIPE, "--seconds", "0.5", **away)
    assert process.stdout is not None
    lines = iter(process.stdout.readline, "")
    assert any("the watcher goes on looking: " in line for line in lines)
    time.sleep(3)  # several looks more
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert "the watcher goes on looking" not in process.communicate(timeout=30)[0]  # it is told once


def test_without_a_prefect_server_nothing_is_watched(servers: Stack) -> None:
    process = run(servers, "--recipe", RECIPE, PREFECT_API_URL="")
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 3
    assert "PREFECT_API_URL: expected the address of a Prefect server" in said


def test_a_secret_that_others_can_read_is_refused(servers: Stack, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("told to everybody")
    secret.chmod(0o644)
    process = run(servers, "--recipe", RECIPE, EDGEWRIGHT_WEBHOOK_SECRET_FILE=str(secret))
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 2
    assert "chmod 600" in said and "told to everybody" not in said


def test_neither_login_nor_secret_is_written_anywhere(servers: Stack, free_port: int) -> None:
    login, secret, address = "qz7-login", "wk3-webhook-secret", f"http://127.0.0.1:{free_port}/webhook"
    known = {
        "MLFLOW_TRACKING_URI": servers.mlflow.replace("://", f"://alice:{login}@"),
        "EDGEWRIGHT_WEBHOOK_SECRET": secret,
    }
    registered = run(servers, "--register", address, **known)
    said = registered.communicate(timeout=60)[0]
    assert registered.returncode == 0, said
    with watching(servers, free_port, "--seconds", "3600", **known) as process:
        version = add_version(servers.mlflow, MODEL, "s3://nothing/3")
        wait_until(lambda: version in versions_with_runs(servers), seconds=60)
    assert process.stdout is not None
    said += process.stdout.read()
    assert "a run is started" in said
    written = {path: path.read_bytes() for path in servers.root.rglob("*") if path.is_file()}
    assert any(address.encode() in content for content in written.values()), "the registry's file was not looked at"
    assert any(f"{MODEL}-v{version}".encode() in content for content in written.values()), "nor was Prefect's"
    for word in (login, secret):
        assert word not in said
        assert [path for path, content in written.items() if word.encode() in content] == []


def test_without_a_secret_nothing_listens_whatever_the_host(servers: Stack, free_port: int) -> None:
    process = run(servers, "--recipe", RECIPE, "--host", "0.0.0.0", "--port", str(free_port), "--seconds", "0.5")
    assert process.stdout is not None
    assert any("watching without webhooks" in line for line in iter(process.stdout.readline, ""))
    time.sleep(2)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", free_port), timeout=5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)


def test_an_address_that_is_taken_or_has_a_login_is_one_sentence(servers: Stack) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        busy = run(servers, "--recipe", RECIPE, "--port", port, EDGEWRIGHT_WEBHOOK_SECRET=SECRET)
        said = busy.communicate(timeout=60)[0]
    assert (busy.returncode, "expected an address of this machine that is free" in said) == (3, True), said
    shown = run(servers, "--register", "http://alice:qz7-login@127.0.0.1/webhook", EDGEWRIGHT_WEBHOOK_SECRET=SECRET)
    said = shown.communicate(timeout=60)[0]
    assert shown.returncode == 2
    assert "expected an address without user and password" in said and "qz7-login" not in said

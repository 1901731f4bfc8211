"""A Prefect server that is killed while `reconcile` runs: its schedule must not be wedged for ever."""

import asyncio
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import ConcurrencyOptions, State, StateType
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Pending, Running

from tests.edge_runtime.processes import wait_until
from tests.end_to_end.servers import Stack

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow, pytest.mark.timeout(900)]  # a machine that is ten times busier
SHORTEST_LEASE = {"PREFECT_SERVER_CONCURRENCY_INITIAL_DEPLOYMENT_LEASE_DURATION": "30"}
PATIENCE_S = 300


def reconcile_limit() -> dict[str, Any]:
    """Return the limit that the shipped file puts on reconcile."""
    content = yaml.safe_load((resources.files("deployments") / "prefect.yaml").read_text())
    (limit,) = (each["concurrency_limit"] for each in content["deployments"] if "reconcile" in each["entrypoint"])
    return dict(limit)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A Prefect server as shipped, whose leases last 30 s in place of 5 minutes."""
    stack = Stack(tmp_path)
    shipped = stack.services["prefect"]
    stack.services["prefect"] = replace(shipped, environment={**shipped.environment, **SHORTEST_LEASE})
    stack.start("prefect")
    with temporary_settings({PREFECT_API_URL: stack.prefect}):
        yield stack
    stack.stop()


async def deploy() -> UUID:
    """Deploy a flow under the limit of reconcile; return the deployment."""

    @flow(name="reconcile")
    def reconcile() -> None: ...

    async with get_client() as client:
        identity = await client.create_flow(reconcile)
        limit = reconcile_limit()
        return await client.create_deployment(
            identity,
            "edgewright",
            parameter_openapi_schema={},
            concurrency_limit=limit["limit"],
            concurrency_options=ConcurrencyOptions(collision_strategy=limit["collision_strategy"]),
        )


async def begun(deployment: UUID, state: State[Any]) -> StateType:
    """Make a run, ask the server to let it begin as a worker does, and return the state that the server gave it."""
    async with get_client() as client:
        run = await client.create_flow_run_from_deployment(deployment)
        await client.set_flow_run_state(run.id, Pending())
        found = (await client.read_flow_run(run.id)).state
        if found is not None and found.type == StateType.PENDING:
            await client.set_flow_run_state(run.id, state)
            found = (await client.read_flow_run(run.id)).state
        assert found is not None
        return found.type


def test_a_run_is_accepted_after_the_server_was_killed_while_another_ran(stack: Stack) -> None:
    deployment = asyncio.run(deploy())
    assert asyncio.run(begun(deployment, Running())) == StateType.RUNNING
    assert asyncio.run(begun(deployment, Running())) == StateType.CANCELLED  # one at a time
    server = stack.processes.pop("prefect")
    os.killpg(server.pid, signal.SIGKILL)
    server.wait()
    stack.start("prefect")
    wait_until(lambda: asyncio.run(begun(deployment, Running())) == StateType.RUNNING, PATIENCE_S)
    assert asyncio.run(begun(deployment, Running())) == StateType.CANCELLED  # the limit holds again

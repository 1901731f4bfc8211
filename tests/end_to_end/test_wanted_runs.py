"""Runs that are wanted are started once each on a real Prefect server, through duplicates, restarts and failures."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from prefect import flow
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelled, Completed, Crashed, Failed, Running

from flows.watch import wanted_runs
from flows.watch.wanted_runs import BACKOFF_S, Ensured, cancel_older, cancel_unnamed, ensure_run, tag_of
from tasks.planning import WantedRun
from tests.end_to_end.prefect_api import PrefectApi

pytestmark = [pytest.mark.end_to_end, pytest.mark.usefixtures("server")]
DEPLOYMENT = "compress/taken-by-nobody"
LATER = datetime.now(UTC) + timedelta(days=1)


@pytest.fixture(scope="module")
def server(prefect_server: str) -> Iterator[str]:
    """A server that knows a deployment of this module's own, which no worker takes runs of."""
    with temporary_settings({PREFECT_API_URL: prefect_server}), pytest.MonkeyPatch.context() as patch:
        patch.setattr(wanted_runs, "DEPLOYMENT", DEPLOYMENT)
        asyncio.run(_deploy())
        yield prefect_server


async def _deploy() -> None:
    @flow(name="compress")
    def compress(model: str, version: str, recipe: str) -> None: ...

    async with get_client() as client:
        identity = await client.create_flow(compress)
        await client.create_deployment(identity, DEPLOYMENT.partition("/")[2], parameter_openapi_schema={})


@pytest.fixture
def wanted() -> WantedRun:
    """A version of a model of each test's own."""
    return WantedRun(f"m-{uuid4().hex[:8]}", "1", "tiny", "version 1 is new", "first")


async def _ensure(wanted: WantedRun, times: int = 1, now: datetime = LATER) -> list[Ensured]:
    async def one() -> Ensured:
        async with get_client() as client:
            return await ensure_run(client, wanted, now)

    return list(await asyncio.gather(*(one() for _ in range(times))))


def ensure(wanted: WantedRun, times: int = 1, now: datetime = LATER) -> list[Ensured]:
    """Ask for a run so many times at once, each with a client of its own."""
    return asyncio.run(_ensure(wanted, times, now))


def runs_of(server: str, wanted: WantedRun) -> list[dict[str, object]]:
    """Return the runs that Prefect has for what is wanted."""
    with PrefectApi(server) as api:
        return [run for run in api.runs_of("compress") if tag_of(wanted) in run["tags"]]


def end(run: dict[str, object], state: State[object]) -> None:
    """Bring a run to a state, as a worker does."""

    async def put(client: PrefectClient) -> None:
        await client.set_flow_run_state(UUID(str(run["id"])), state, force=True)

    async def opened() -> None:
        async with get_client() as client:
            await put(client)

    asyncio.run(opened())


def supersede(newer: WantedRun) -> None:
    """Cancel the runs of versions older than this one."""

    async def cancel() -> None:
        async with get_client() as client:
            await cancel_older(client, newer)

    asyncio.run(cancel())


def unname(wanted: WantedRun, *versions: str) -> None:
    """Have the alias of a run's recipe name none of these versions any more."""

    async def move() -> None:
        async with get_client() as client:
            await cancel_unnamed(client, wanted.model, wanted.recipe, versions, "champion")

    asyncio.run(move())


def delete(run: dict[str, object]) -> None:
    """Delete a run, as a person does in the UI."""

    async def gone() -> None:
        async with get_client() as client:
            await client.delete_flow_run(UUID(str(run["id"])))

    asyncio.run(gone())


def test_a_wanted_run_is_started_once_however_often_it_is_asked_for(server: str, wanted: WantedRun) -> None:
    ensure(wanted, times=8)
    assert ensure(wanted) == ["there"]
    (run,) = runs_of(server, wanted)
    asked = {"model": wanted.model, "version": "1", "recipe": "tiny"}
    assert run["parameters"] == asked | {"cause": wanted.cause}
    assert run["name"] == f"{wanted.model}-v1"


def test_what_is_at_work_is_not_started_beside_itself(server: str, wanted: WantedRun) -> None:
    ensure(wanted)
    (run,) = runs_of(server, wanted)
    end(run, Running())
    assert ensure(wanted, times=3) == ["there"] * 3
    assert len(runs_of(server, wanted)) == 1


def test_another_change_of_the_same_version_is_another_run(server: str, wanted: WantedRun) -> None:
    ensure(wanted)
    ensure(WantedRun(wanted.model, "1", "tiny", "its recipe changed", "second"))
    ensure(WantedRun(wanted.model, "2", "tiny", "version 2 is new", "first"))
    assert len(runs_of(server, wanted)) == 1


@pytest.mark.parametrize(
    "state",
    [Failed(), Completed()],
    ids=lambda state: state.name,
)
def test_one_that_ended_without_an_answer_is_tried_again_after_a_while(
    server: str, wanted: WantedRun, state: State[object]
) -> None:
    ensure(wanted)
    (run,) = runs_of(server, wanted)
    end(run, state)
    ended = datetime.now(UTC)
    assert ensure(wanted, now=ended) == ["waits"]
    ensure(wanted, times=4, now=ended + timedelta(seconds=BACKOFF_S[0] + 1))
    assert len(runs_of(server, wanted)) == 2


@pytest.mark.parametrize("begun", [True, False])
def test_one_that_was_superseded_is_tried_again_where_it_is_wanted_again(
    server: str, wanted: WantedRun, begun: bool
) -> None:
    ensure(wanted)
    (run,) = runs_of(server, wanted)
    if begun:
        end(run, Running())
    supersede(replace(wanted, version="2"))
    (run,) = runs_of(server, wanted)
    assert run["state_type"] == ("CANCELLING" if begun else "CANCELLED")
    if begun:
        end(run, Cancelled(message="Flow run was cancelled successfully."))  # the words of Prefect's own worker
    assert ensure(wanted) == ["started"]
    assert len(runs_of(server, wanted)) == 2


def test_attempts_that_a_person_deleted_count_still(server: str, wanted: WantedRun) -> None:
    for _ in range(2):
        assert ensure(wanted) == ["started"]
        for run in runs_of(server, wanted):
            end(run, Failed())
    first = min(runs_of(server, wanted), key=lambda run: str(run["created"]))
    delete(first)
    assert ensure(wanted) == ["started"]
    assert len(runs_of(server, wanted)) == 2


def test_one_that_a_person_cancelled_is_left_to_persons(server: str, wanted: WantedRun) -> None:
    ensure(wanted)
    (run,) = runs_of(server, wanted)
    end(run, Cancelled())
    assert ensure(wanted) == ["cancelled"]
    assert len(runs_of(server, wanted)) == 1


def test_a_version_that_its_alias_does_not_name_any_more_is_cancelled(server: str, wanted: WantedRun) -> None:
    ensure(wanted)
    unname(wanted, "2")
    (run,) = runs_of(server, wanted)
    assert run["state_type"] == "SCHEDULED"
    unname(wanted, "1")
    (run,) = runs_of(server, wanted)
    assert run["state_type"] == "CANCELLED"


def test_what_an_alias_left_is_no_failed_attempt_when_it_comes_back(server: str, wanted: WantedRun) -> None:
    for _ in range(len(BACKOFF_S) + 2):
        assert ensure(wanted, now=datetime.now(UTC)) == ["started"]
        unname(wanted, "1")
    assert {run["state_type"] for run in runs_of(server, wanted)} == {"CANCELLED"}


def test_one_whose_process_died_is_tried_again_at_once_and_then_after_a_while(server: str, wanted: WantedRun) -> None:
    ensure(wanted)
    for attempts in (1, 2):
        for run in runs_of(server, wanted):
            end(run, Crashed())
        assert ensure(wanted, now=datetime.now(UTC)) == [("started", "waits")[attempts - 1]]
    assert len(runs_of(server, wanted)) == 2


def test_after_the_last_attempt_a_person_is_needed(server: str, wanted: WantedRun) -> None:
    for _ in range(len(BACKOFF_S) + 1):
        assert ensure(wanted) == ["started"]
        for run in runs_of(server, wanted):
            end(run, Failed())
    assert ensure(wanted) == ["needs a person"]
    assert len(runs_of(server, wanted)) == len(BACKOFF_S) + 1

"""Runs whose process is gone are marked as crashed on a real Prefect server; those that live are left alone."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelling, Completed, Failed, Pending, Running

from flows.watch.dead_runs import LET_GO_S, SILENT_S, STARTING_S, end_dead_runs, last_heartbeat
from flows.watch.process_label import LABEL, TIMES, process_of, say_who_works
from tasks.life_signs import has_let_go
from tasks.processes import Process
from tests.edge_runtime.processes import wait_until
from tests.tasks.processes import line, running

pytestmark = [pytest.mark.end_to_end, pytest.mark.usefixtures("server")]
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
NO_HOME = Path("no home")
SOON, LATE = timedelta(seconds=1), timedelta(seconds=SILENT_S + 1)


@pytest.fixture(scope="module")
def server(prefect_server: str) -> Iterator[None]:
    """A Prefect server whose runs nobody works on."""
    with temporary_settings({PREFECT_API_URL: prefect_server}):
        yield


@flow(name="dead")
def nothing() -> None:
    """Be a flow that a run can be of."""


IN_A_CONTAINER = """
    import json, sys
    from dataclasses import asdict, replace
    from pathlib import Path
    from tasks.life_signs import show_life
    from tasks.processes import Process

    contained = replace(Process.this(), namespace="pid:[1]")
    Process.this = classmethod(lambda _: contained)
    show_life(Path(sys.argv[1]))
    print(json.dumps(asdict(contained)), flush=True)
    sys.stdin.readline()
"""


async def _begun(process: Process | None, state: str) -> UUID:
    states: dict[str, State[object]] = {"running": Running(), "pending": Pending(), "completed": Completed(),
                                             "cancelling": Cancelling(message="version 2 supersedes it")}  # fmt: skip
    async with get_client() as client:
        run = await client.create_flow_run(nothing, tags=["edgewright"])
        await client.set_flow_run_state(run.id, states[state], force=True)
        if process is not None:
            times = (await client.read_flow_run(run.id)).run_count
            await client.update_flow_run_labels(run.id, {LABEL: json.dumps({**asdict(process), TIMES: times})})
        return run.id


async def _retried(run: UUID, state: str) -> None:
    async with get_client() as client:
        await client.set_flow_run_state(run, Failed(), force=True)
        await client.set_flow_run_state(run, Pending(), force=True)
        if state == "running":
            await client.set_flow_run_state(run, Running(), force=True)


def retried(run: UUID, state: str) -> None:
    """Let a run fail and begin again, as far as to a state."""
    asyncio.run(_retried(run, state))


def begun(process: Process | None, state: str = "running") -> UUID:
    """Begin a run that a process says to work on."""
    return asyncio.run(_begun(process, state))


async def _dead(at: datetime, since: datetime, home: Path = NO_HOME) -> set[UUID]:
    async with get_client() as client:
        return {run.id for run in await end_dead_runs(client, at, since, home)}


def dead(after: timedelta = SOON, since: datetime = LONG_AGO, home: Path = NO_HOME) -> set[UUID]:
    """Return the runs that are found dead after so long, by one who listens since then and has this home."""
    return asyncio.run(_dead(datetime.now(UTC) + after, since, home))


async def _state_of(run: UUID) -> str:
    async with get_client() as client:
        state = (await client.read_flow_run(run)).state
        return "" if state is None else f"{state.name}: {state.message}"


@flow(name="says who works")
def says_who_works(home: Path) -> UUID:
    """Say who works on this very run, as compress does."""
    say_who_works(home)
    assert flow_run.id is not None
    return UUID(flow_run.id)


async def _last_beat(run: UUID) -> datetime | None:
    async with get_client() as client:
        return await last_heartbeat(client, run)


@pytest.fixture(scope="module")
def ended() -> Process:
    """A process of this machine that has ended."""
    code = "import dataclasses, json, tasks.processes as own; print(json.dumps(dataclasses.asdict(own.Process.this())))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return Process(**json.loads(said))


def test_a_flow_says_which_process_works_on_it(tmp_path: Path) -> None:
    run = says_who_works(tmp_path)
    assert has_let_go(tmp_path, Process.this()) is False

    async def said() -> Process | None:
        async with get_client() as client:
            found = await client.read_flow_run(run)
            return process_of(found.labels, found.run_count)

    assert asyncio.run(said()) == Process.this()


def test_a_run_whose_process_ended_has_crashed(ended: Process) -> None:
    run = begun(ended)
    assert run in dead()
    assert asyncio.run(_state_of(run)).startswith(f"Crashed: process {ended.pid} on ")
    assert run not in dead()


@pytest.mark.parametrize("state", ["pending", "running"])
def test_a_run_that_is_tried_again_is_not_held_against_its_earlier_process(ended: Process, state: str) -> None:
    run = begun(ended)
    retried(run, state)
    assert run not in dead()


def test_a_run_whose_process_lives_is_left_alone_however_long_it_says_nothing() -> None:
    run = begun(Process.this())
    assert run not in dead(LATE)
    assert asyncio.run(_state_of(run)).startswith("Running")


def test_a_run_that_died_while_it_was_cancelled_is_cancelled_and_not_tried_again(ended: Process) -> None:
    run = begun(ended, "cancelling")
    assert run in dead()
    assert asyncio.run(_state_of(run)) == "Cancelled: version 2 supersedes it"


def test_a_run_that_ended_is_left_alone(ended: Process) -> None:
    assert begun(ended, "completed") not in dead(LATE)


@pytest.mark.parametrize("elsewhere", [True, False], ids=["another-machine", "nobody-said-so"])
def test_a_run_that_cannot_be_seen_from_here_is_dead_when_it_is_silent(ended: Process, elsewhere: bool) -> None:
    run = begun(replace(ended, machine="another") if elsewhere else None)
    assert run not in dead(SOON)
    assert run in dead(LATE)
    assert "no sign of life for" in asyncio.run(_state_of(run))


def test_a_process_in_another_container_that_let_go_is_dead_after_a_missed_heartbeat(tmp_path: Path) -> None:
    with running(IN_A_CONTAINER, str(tmp_path)) as process:
        container = Process(**json.loads(line(process)))
        assert container.has_ended() is None
        run = begun(container)
        assert run not in dead(LATE, home=tmp_path)
        process.kill()
        process.wait()
    assert run not in dead(SOON, home=tmp_path)
    assert run in dead(timedelta(seconds=LET_GO_S + 1), home=tmp_path)


def test_silence_counts_from_when_somebody_listens(ended: Process) -> None:
    run = begun(replace(ended, machine="another"))
    began = datetime.now(UTC) + timedelta(seconds=60)  # the server was away until then
    assert run not in dead(LATE, since=began)
    assert run in dead(LATE + timedelta(seconds=60), since=began)


def test_a_run_that_a_worker_took_and_never_began_is_dead_sooner() -> None:
    run = begun(None, "pending")
    assert run not in dead(timedelta(seconds=STARTING_S - 5))
    assert run in dead(timedelta(seconds=STARTING_S + 1))


def test_a_heartbeat_is_a_sign_of_life(ended: Process) -> None:
    run, before = begun(replace(ended, machine="another")), datetime.now(UTC)
    wait_until(lambda: datetime.now(UTC) - before > timedelta(seconds=2))
    emit_event("prefect.flow-run.heartbeat", resource={"prefect.resource.id": f"prefect.flow-run.{run}"})
    wait_until(lambda: asyncio.run(_last_beat(run)) is not None)
    beat = asyncio.run(_last_beat(run)) or before
    silent = beat + timedelta(seconds=SILENT_S)
    assert silent - before > LATE
    assert run not in asyncio.run(_dead(silent - timedelta(seconds=0.5), LONG_AGO))
    assert run in asyncio.run(_dead(silent + timedelta(seconds=0.5), LONG_AGO))

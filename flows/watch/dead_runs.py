"""Runs whose process is gone: Prefect shows them as at work until somebody says that they crashed.

A run says at its beginning which process works on it, so that one of this machine is known to be dead at once. A run
elsewhere is known by its heartbeats, which each process of a run sends every 30 seconds: one that misses is enough for
a run in another container of this machine, where both have one home and its lock is free.
"""

import logging
from datetime import datetime
from pathlib import Path
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType, FlowRunFilterTags
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.events.filters import EventFilter, EventNameFilter, EventOrder, EventResourceFilter
from prefect.states import Cancelled, Crashed

from flows.watch.process_label import process_of
from tasks.life_signs import has_let_go

logger = logging.getLogger("edgewright")
HEARTBEAT_S = 30
"""Seconds between two heartbeats of a run, as deployments/prefect.yaml says; Prefect's own default is 180."""
SILENT_S = 4 * HEARTBEAT_S
"""Seconds without a sign of life after which a run counts as dead: four heartbeats."""
LET_GO_S = 1.5 * HEARTBEAT_S
"""Seconds without a sign of life that are enough where the process also holds its lock no more."""
STARTING_S = 60
"""Seconds in which a run that a worker took must be at work; it takes 3, and on a machine ten times busier 30."""
AT_WORK = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]


async def end_dead_runs(client: PrefectClient, now: datetime, listening_since: datetime, home: Path) -> list[FlowRun]:
    """Mark the runs as crashed whose process is gone; return them. They are then tried again as any other.

    `home` is the folder in which processes of containers on this machine show that they live.

    A heartbeat is lost while Prefect's server is away, so silence counts from `listening_since`, when it last came
    back, or was first asked.
    """
    at_work = FlowRunFilter(
        tags=FlowRunFilterTags(all_=["edgewright"]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=AT_WORK)),
    )
    dead = []
    for run in await client.read_flow_runs(flow_run_filter=at_work):
        why = await _why_dead(client, run, now, listening_since, home)
        if why is not None:
            await client.set_flow_run_state(run.id, _end_of(run, why), force=True)
            logger.warning("run %s of %s ended: %s", run.id, run.name, why)
            dead.append(run)
    return dead


def _end_of(run: FlowRun, why: str) -> State[None]:
    """Return how a dead run ended: one that somebody has cancelled is not to be tried again as one that crashed."""
    if run.state is not None and run.state.type is StateType.CANCELLING:
        return Cancelled(message=run.state.message or why)
    return Crashed(message=why)


async def _why_dead(
    client: PrefectClient, run: FlowRun, now: datetime, listening_since: datetime, home: Path
) -> str | None:
    """Return in words why nobody works on a run; None where somebody may."""
    is_pending = run.state is not None and run.state.type is StateType.PENDING
    process = None if is_pending else process_of(run.labels, run.run_count)
    ended = None if process is None else process.has_ended()
    if ended is not None:
        return f"{process} ended without saying so" if ended else None
    has_ended = None if process is None else has_let_go(home, process)
    if has_ended is False:
        return None
    state = run.state.timestamp if run.state else None
    last = max(filter(None, (state, run.created, listening_since, await last_heartbeat(client, run.id))))
    silent = (now - last).total_seconds()
    allowed = STARTING_S if is_pending else LET_GO_S if has_ended else SILENT_S
    return f"no sign of life for {silent:.0f} s" if silent > allowed else None


async def last_heartbeat(client: PrefectClient, run: UUID) -> datetime | None:
    """Return the time of a run's last heartbeat; None where it has sent none."""
    beats = EventFilter(
        event=EventNameFilter(name=["prefect.flow-run.heartbeat"]),
        resource=EventResourceFilter(id=[f"prefect.flow-run.{run}"]),
        order=EventOrder.DESC,
    )
    page = await client.read_events(beats, limit=1)
    return page.events[0].occurred if page.events else None

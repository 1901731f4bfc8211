"""Wanted runs: each is started once, tried again a few times where none gave an answer, then left to a person."""

import logging
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Literal, TypeAlias
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType, FlowRunFilterTags
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.states import Cancelled, Cancelling

from tasks.planning import WantedRun

logger = logging.getLogger("edgewright")
DEPLOYMENT = "compress/edgewright"
BACKOFF_S = (15, 60, 240, 900)
"""Seconds after the end of each attempt before the next one; after the last, a person is needed.

Where the process of the first attempt died, the second one follows at once: a restart has taken long enough.
"""
UNFINISHED = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING]
PAGE = 200
SUPERSEDED = "edgewright:superseded"
"""Tag of a run that was cancelled for another version, and by no person."""
AtWork: TypeAlias = frozenset[tuple[str, str, str]]
Ensured: TypeAlias = Literal["started", "there", "waits", "cancelled", "needs a person"]


async def ensure_run(client: PrefectClient, wanted: WantedRun, now: datetime, at_work: AtWork | None = None) -> Ensured:
    """Start a run that is wanted, unless one is there: at most one is at work, and each attempt is made once.

    Any number of watchers may ask at the same time, and ask again after a restart: Prefect keeps the key of each
    attempt in its database. `at_work` is what runs_at_work() returned a moment ago, else it is asked. Raises what the
    client raises where Prefect does not answer.
    """
    known = await runs_at_work(client) if at_work is None else at_work
    if (wanted.model, wanted.version, wanted.recipe) in known:
        return "there"
    attempts = await _attempts(client, wanted)
    if any(run.state is None or not run.state.is_final() for run in attempts):
        return "there"
    made = max(map(_number_of, attempts), default=0)
    tried = [run for run in attempts if SUPERSEDED not in run.tags]
    failed = made - (len(attempts) - len(tried))
    if any(_was_cancelled(run) for run in tried):
        return "cancelled"
    if failed > len(BACKOFF_S):
        return "needs a person"
    if tried and now < _next_time(tried, failed):
        return "waits"
    number = made + 1
    deployment = await client.read_deployment_by_name(DEPLOYMENT)
    await client.create_flow_run_from_deployment(
        deployment.id,
        parameters=wanted.parameters,
        name=f"{wanted.model}-v{wanted.version}",
        tags=["edgewright", tag_of(wanted), _model_tag(wanted.model)],
        idempotency_key=f"{wanted.key}-{number}",
    )
    again = f", attempt {failed + 1} of {len(BACKOFF_S) + 1}" if tried else ""
    logger.info("model %s version %s: a run is started%s, as %s", wanted.model, wanted.version, again, wanted.cause)
    return "started"


async def cancel_older(client: PrefectClient, wanted: WantedRun) -> None:
    """Cancel the runs of older versions under the same recipe that have not ended; finished stages are kept."""
    message = f"version {wanted.version} supersedes it"
    await _cancel(client, wanted.model, wanted.recipe, lambda each: int(each) < int(wanted.version), message)


async def cancel_unnamed(client: PrefectClient, model: str, recipe: str, versions: Collection[str], alias: str) -> None:
    """Cancel the runs under a recipe of versions that its alias does not name any more: a person has moved it."""
    await _cancel(client, model, recipe, versions.__contains__, f"the alias {alias} names another version now, or none")


async def _cancel(client: PrefectClient, model: str, recipe: str, is_over: Callable[[str], bool], message: str) -> None:
    """Cancel the runs that a watcher started of versions that are over; each may be started again later."""
    unfinished = FlowRunFilterState(type=FlowRunFilterStateType(any_=UNFINISHED))
    ours = FlowRunFilter(tags=FlowRunFilterTags(all_=[_model_tag(model)]), state=unfinished)
    for run in await client.read_flow_runs(flow_run_filter=ours):
        version = str(run.parameters.get("version", 0))
        if run.parameters.get("recipe") != recipe or not is_over(version):
            continue
        begun = run.state is not None and run.state.type is not StateType.SCHEDULED
        await client.update_flow_run(run.id, tags=[*run.tags, SUPERSEDED])  # a worker writes a message of its own
        await client.set_flow_run_state(run.id, Cancelling(message=message) if begun else Cancelled(message=message))
        logger.info("model %s version %s: its run is cancelled, as %s", model, version, message)


def tag_of(wanted: WantedRun) -> str:
    """Return the tag by which all attempts at a wanted run are found."""
    return f"edgewright:{wanted.key}"


def _model_tag(model: str) -> str:
    return f"edgewright:model:{model}"


async def runs_at_work(client: PrefectClient) -> AtWork:
    """Return model, version and recipe of each run that waits or works, whoever started it."""
    state = FlowRunFilterState(type=FlowRunFilterStateType(any_=[*UNFINISHED, StateType.CANCELLING]))
    ours = FlowRunFilter(tags=FlowRunFilterTags(all_=["edgewright"]), state=state)
    found = list[FlowRun]()
    while len(page := await client.read_flow_runs(flow_run_filter=ours, limit=PAGE, offset=len(found))) == PAGE:
        found += page
    said = (run.parameters for run in [*found, *page])
    return frozenset((str(each.get("model")), str(each.get("version")), str(each.get("recipe"))) for each in said)


def _was_cancelled(run: FlowRun) -> bool:
    """Tell whether a run that nothing superseded was cancelled: by a person, so it is not started again by itself."""
    return run.state is not None and run.state.type is StateType.CANCELLED


def _number_of(attempt: FlowRun) -> int:
    """Return the number of an attempt, which its key ends with: a person may have deleted earlier ones."""
    number = str(attempt.idempotency_key).rpartition("-")[2]
    return int(number) if number.isdecimal() else 1


def _next_time(attempts: Sequence[FlowRun], made: int) -> datetime:
    """Return the time from which the next attempt may be made, after so many."""
    died = made == 1 and attempts[0].state is not None and attempts[0].state.is_crashed()
    ends = [run.end_time or run.expected_start_time or run.created for run in attempts]
    return max(end for end in ends if end is not None) + timedelta(seconds=0 if died else BACKOFF_S[made - 1])


async def _attempts(client: PrefectClient, wanted: WantedRun) -> list[FlowRun]:
    """Return all attempts at a wanted run, each once."""
    tagged = FlowRunFilter(tags=FlowRunFilterTags(all_=[tag_of(wanted)]))
    found: dict[UUID, FlowRun] = {run.id: run for run in await client.read_flow_runs(flow_run_filter=tagged)}
    return list(found.values())

"""Patience with the Prefect server that keeps a run: it is waited for, and asked once for what is only shown.

Prefect's clients wait for a server that restarts only after they have reached it once, and a run opens a new client for
each thing that it wants to know. So Edgewright waits itself.
"""

import logging
from collections.abc import Callable
from time import monotonic, sleep
from typing import TypeVar

import httpx
from prefect.runtime import deployment, flow_run

from tasks.errors import SystemFailure, causes

logger = logging.getLogger("edgewright")
WAIT_S = 240.0
"""Seconds that a server is waited for, as docs/operation.md says."""
LONGEST_PAUSE_S = 15.0
NOT_TOLD = "(its name is not known, as the Prefect server did not tell it)"
_names: dict[str, str | None] = {}
"""Names of the deployments of this process's flow runs, by the id of the flow run; None for a run without one."""
Answer = TypeVar("Answer")


def patiently(ask: Callable[[], Answer]) -> Answer:
    """Return what the Prefect server answers; while nobody listens there, ask again for four minutes.

    What asks must be safe to repeat. Raises SystemFailure after that time; every other error comes at once.
    """
    end, pause = monotonic() + WAIT_S, 1.0
    while True:
        try:
            return ask()
        except Exception as error:
            if not _is_away(error):
                raise
            if monotonic() + pause > end:
                raise SystemFailure(
                    f"Prefect server: expected an answer within {WAIT_S / 60:.0f} minutes, got none; start it, then "
                    "run again"
                ) from error
            if pause == 1.0:
                logger.warning("the Prefect server does not answer; it is waited for, %.0f s at most", WAIT_S)
        sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_S)


def remember_deployment() -> None:
    """Ask once which deployment this run is of. It is only shown: where nobody tells, the run goes on without."""
    try:
        _names[str(flow_run.id)] = patiently(lambda: deployment.name)
    except Exception as error:
        logger.warning("the name of this run's deployment is not shown: %s", type(error).__name__)
        _names[str(flow_run.id)] = NOT_TOLD


def deployment_name() -> str | None:
    """Return the name of this run's deployment as it was told at the beginning; None for a run that is of none."""
    run = str(flow_run.id)
    if run in _names:
        return _names[run]
    try:
        name: str | None = deployment.name
    except Exception:  # it is only shown
        return NOT_TOLD
    return name


def is_within_another() -> bool:
    """Tell whether this flow run was started by another; the server is asked only where a run has a parent's task."""
    try:
        return bool(flow_run.parent_flow_run_id)
    except Exception:  # it is only shown
        return True


def _is_away(error: BaseException) -> bool:
    """Tell whether nobody listened at the server's address; Prefect puts that behind errors of its own."""
    return any(isinstance(each, httpx.ConnectError) for each in causes(error))

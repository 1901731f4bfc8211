"""Wanted runs started on the work pool by whoever made a plan."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # who only wants to say who works loads neither MLflow nor Prefect's client
    from flows.watch.wanted_runs import Ensured
    from tasks.planning import WantedRun


def start_runs(wanted: "Sequence[WantedRun]") -> "list[Ensured]":
    """Start each run that is wanted, unless it is there; return what became of each, in their order.

    A server that is away is waited for: what it has started by then is there.
    """
    from tasks.patience import patiently

    return patiently(lambda: asyncio.run(_start(wanted)))


async def _start(wanted: "Sequence[WantedRun]") -> "list[Ensured]":
    from prefect.client.orchestration import get_client

    from flows.watch.wanted_runs import ensure_run

    async with get_client() as client:
        return [await ensure_run(client, run, datetime.now(UTC)) for run in wanted]

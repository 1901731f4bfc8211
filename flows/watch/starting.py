"""Wanted runs started on the work pool by whoever made a plan."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from prefect.client.orchestration import get_client

from flows.watch.wanted_runs import Ensured, ensure_run
from tasks.planning import WantedRun

logger = logging.getLogger("edgewright")


def start_runs(wanted: Sequence[WantedRun]) -> list[Ensured]:
    """Start each run that is wanted, unless it is there; return what became of each, in their order."""
    return asyncio.run(_start(wanted))


async def _start(wanted: Sequence[WantedRun]) -> list[Ensured]:
    async with get_client() as client:
        return [await ensure_run(client, run, datetime.now(UTC)) for run in wanted]

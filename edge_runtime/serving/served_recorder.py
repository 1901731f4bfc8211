"""The recorder of a process that serves: it writes the figures of its models down, again and again and at the end."""

import asyncio
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from edge_runtime.serving.served_models import ModelDescription, ModelStatistics, ServedModels
from edge_runtime.session import resident_bytes
from edge_runtime.statistics import ServedFile, ServedInField, ServedModel, ServingRecord

logger = logging.getLogger("edgewright")
_LAST_S = 5.0
"""Seconds that the end of a process waits for a disk that does not answer."""


class ServedRecorder:
    """Writes a ServedFile every `every_s`, in a thread of its own, so that neither an answer nor the loop waits for it.

    Its methods belong to the event loop of the models. Where another process serves already, that one tells.
    """

    def __init__(
        self, state: Path, every_s: float, models: ServedModels, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._file, self._every_s, self._models, self._now = ServedFile(state), every_s, models, now
        self._since = _told(now())
        self._known: dict[str, ModelDescription] = {}
        self._writer = ThreadPoolExecutor(1, "edgewright-record")
        self._task: asyncio.Task[None] | None = None
        self._quiet = False

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._run(), name="edgewright-record")

    async def close(self) -> None:
        """Write a last time, and let another process write from now on. Safe to repeat, and before `start`."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_S):
                await self._write()
                await asyncio.get_running_loop().run_in_executor(self._writer, self._file.let_go)
        self._writer.shutdown(wait=False)

    async def _run(self) -> None:
        while True:
            await self._write()
            await asyncio.sleep(self._every_s)

    async def _write(self) -> None:
        try:
            record = self._record()
            written = await asyncio.get_running_loop().run_in_executor(self._writer, self._put, record)
            trouble = None if written else "another process that serves writes its own"
        except OSError as error:
            trouble = str(error)
        if trouble is not None and not self._quiet:
            logger.warning("The figures of this process are not written down, and reports lack them: %s", trouble)
        self._quiet = trouble is not None

    def _put(self, record: ServingRecord) -> bool:
        if not self._file.hold():
            return False
        self._file.write(record)
        return True

    def _record(self) -> ServingRecord:
        memory = resident_bytes()
        return ServingRecord(
            os.getpid(), _told(self._now()), tuple(self._model(each, memory) for each in self._models.statistics())
        )

    def _model(self, counted: ModelStatistics, memory: int) -> ServedModel:
        ready = self._models.is_ready(counted.model)
        if ready:
            self._known[counted.model] = self._models.description(counted.model)
        known = self._known.get(counted.model)
        figures = ServedInField(self._since, counted.requests, counted.latency_s, memory, counted.drift, counted.shadow)
        release, digest = ("", "") if known is None else (known.release, known.digest)
        return ServedModel(counted.model, release, digest, ready, figures)


def _told(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"

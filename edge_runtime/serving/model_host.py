"""The models of one process: loaded beside the event loop, swapped while they serve, and kept up with their sources."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np

from edge_runtime.errors import EdgewrightError, InstallError, ModelNotServed, ServingError
from edge_runtime.serving.loaded_version import LoadedVersion, load_version
from edge_runtime.serving.model_queue import ModelQueue
from edge_runtime.serving.model_sources import ModelSource, WantedShadow
from edge_runtime.serving.served_models import ModelDescription, ModelStatistics
from edge_runtime.serving.serving_settings import ServingSettings
from edge_runtime.serving.shadows import ModelShadow

logger = logging.getLogger("edgewright")
FIRST_PAUSE_S, LONGEST_PAUSE_S = 30.0, 3600.0
"""Pauses before a bundle that did not load is tried again, doubled each time; another bundle is tried at once."""


@dataclass
class _Served:
    """One model: its source and its queue, and what went wrong last."""

    source: ModelSource
    queue: ModelQueue
    swapping: asyncio.Lock = field(default_factory=asyncio.Lock)
    looked: asyncio.Event = field(default_factory=asyncio.Event)
    seen: object = None
    trouble: str = "it is being loaded"
    pause_s: float = FIRST_PAUSE_S
    again_at: float = 0.0

    def shadow(self) -> WantedShadow | None:
        """Return the shadow that the source names."""
        return self.source.shadow()


class ModelHost:
    """Models that are served in the event loop that calls `start`; it is a ServedModels.

    One thread loads, so that no two versions are brought into memory at once. Each model has a thread that answers.
    """

    def __init__(self, sources: Sequence[ModelSource], settings: ServingSettings) -> None:
        names = [source.model for source in sources]
        if len(set(names)) != len(names):
            raise ServingError(f"Every model needs one bundle, and some of these have more: {sorted(names)}.")
        self._sources = tuple(sources)
        self._settings = settings
        self._served: dict[str, _Served] = {}
        self._shadows: dict[str, ModelShadow] = {}
        self._loader = ThreadPoolExecutor(1, "edgewright-loader")
        self._following: list[asyncio.Task[None]] = []
        self._closing = False

    async def start(self, *, wait: bool = True) -> None:
        """Begin to serve; with `wait`, return once each model was loaded or has failed to. No model stops another."""
        self._loop = asyncio.get_running_loop()
        for source in self._sources:
            served = _Served(source, ModelQueue(source.model, self._settings, self._retire))
            self._served[source.model] = served
            self._shadows[source.model] = ModelShadow(served.queue, served.shadow, self._loader)
        self._following = [
            *(
                asyncio.create_task(self._follow(served), name=f"edgewright-follow-{name}")
                for name, served in self._served.items()
            ),
            *(asyncio.create_task(shadow.follow(self._settings.poll_s)) for shadow in self._shadows.values()),
        ]
        if wait:
            for served in self._served.values():
                await served.looked.wait()

    async def close(self) -> None:
        """Answer what was asked, within `drain_s`, then end every thread and free every version. Safe to repeat."""
        if self._closing:
            return
        self._closing = True
        queues = [served.queue for served in self._served.values()]
        freed = False
        try:
            for task in self._following:
                task.cancel()
            for shadow in self._shadows.values():
                shadow.close()
            await asyncio.gather(*(queue.close() for queue in queues))
            freed = await self._ended(queues)
        finally:
            for queue in queues:
                queue.stop()
            self._loader.shutdown(wait=freed, cancel_futures=not freed)

    async def _ended(self, queues: Sequence[ModelQueue]) -> bool:
        """Wait until threads have ended and versions are freed; False, with a log line, where that takes too long."""
        try:
            async with asyncio.timeout(max(self._settings.drain_s, 1.0)):
                for queue in queues:
                    await queue.ended.wait()
                for shadow in self._shadows.values():
                    await shadow.ended()
                await asyncio.get_running_loop().run_in_executor(self._loader, str)  # what is to be freed goes first
        except TimeoutError:
            logger.error("A session does not end in time; its memory stays until the process ends")
            return False
        for queue in queues:
            queue.thread.join()
        return True

    def names(self) -> list[str]:
        """Return the names of all models, sorted."""
        return sorted(source.model for source in self._sources)

    def is_ready(self, model: str) -> bool:
        """Tell whether a request would be answered now."""
        return model in self._served and self._served[model].queue.version is not None

    def description(self, model: str) -> ModelDescription:
        """Describe the version that serves. Raises ModelNotServed."""
        version = self._known(model).queue.version
        if version is None:
            raise self._not_ready(model)
        return version.description

    async def answer(
        self,
        model: str,
        arrays: Mapping[str, np.ndarray],
        *,
        deadline_s: float | None = None,
        outputs: Sequence[str] | None = None,
    ) -> dict[str, np.ndarray]:
        """Answer a request, as ServedModels says."""
        queue = self._known(model).queue
        if queue.version is None:
            raise self._not_ready(model)
        return await queue.answer(arrays, deadline_s, outputs)

    def statistics(self) -> list[ModelStatistics]:
        """Return the statistics of every model, by name."""
        return [
            replace(self._served[name].queue.statistics(), shadow=self._shadows[name].statistics())
            for name in self.names()
        ]

    async def swap(self, source: ModelSource) -> None:
        """Serve another bundle of a model from now on; return once it serves and the one before it is freed.

        Raises ModelNotServed for a model that this process does not serve; BundleError, InstallError or SessionError
        where it does not load: the one before goes on serving.
        """
        served = self._known(source.model)
        async with served.swapping:
            serving = served.queue.version
            if serving is not None and serving.description.digest == source.digest():
                return
            async with self._shadows[source.model].away():
                version = await self._loaded(served, source)
                served.source, served.seen = source, source.stamp()
                await self._put(served, version)

    async def shadow(self, model: str, wanted: WantedShadow | None) -> None:
        """Compare a bundle with the one that serves, as ModelShadow.put says. Raises ModelNotServed too."""
        self._known(model)
        await self._shadows[model].put(wanted)

    def _known(self, model: str) -> _Served:
        if model not in self._served:
            known = ", ".join(self.names()) or "none"
            raise ModelNotServed(f"No model is served under the name {model!r}; ask for one of: {known}.")
        return self._served[model]

    def _not_ready(self, model: str) -> ModelNotServed:
        return ModelNotServed(f"{model} is not served yet: {self._served[model].trouble}.")

    async def _follow(self, served: _Served) -> None:
        """Look at a source again and again."""
        while True:
            try:
                await self._look(served)
            except Exception:
                logger.exception("%s: its source could not be looked at", served.source.model)
            served.looked.set()
            await asyncio.sleep(self._settings.poll_s)

    async def _look(self, served: _Served) -> None:
        """Swap a model whose source names another bundle than the one that serves; failures are told, not raised."""
        stamp, now = served.source.stamp(), self._loop.time()
        if stamp == served.seen and now < served.again_at:
            return
        async with served.swapping:
            if stamp != served.seen:
                served.pause_s = FIRST_PAUSE_S
            served.seen, served.again_at = stamp, now + served.pause_s  # a stamp alone is not trusted for ever
            try:
                await self._follow_source(served)
            except (EdgewrightError, OSError, MemoryError) as error:
                self._failed(served, str(error))

    async def _follow_source(self, served: _Served) -> None:
        digest, version = served.source.digest(), served.queue.version
        if digest is None:
            served.trouble = "nothing is installed"
            return
        if version is not None and version.description.digest == digest:
            return
        async with self._shadows[served.source.model].away():
            await self._put(served, await self._loaded(served, served.source))

    def _failed(self, served: _Served, reason: str) -> None:
        """Remember a bundle that does not load; the one before goes on serving."""
        served.again_at, served.pause_s = self._loop.time() + served.pause_s, min(served.pause_s * 2, LONGEST_PAUSE_S)
        served.trouble = reason
        serving = served.queue.version
        goes_on = "nothing serves" if serving is None else f"version {serving.description.version} goes on serving"
        logger.error("%s: a bundle does not load, %s: %s", served.source.model, goes_on, reason)

    async def _loaded(self, served: _Served, source: ModelSource) -> LoadedVersion:
        """Load what a source names, in the loader's thread; a failure is counted."""
        serving = served.queue.version
        try:
            return await self._loop.run_in_executor(self._loader, _load, source, serving)
        except Exception:
            served.queue.counts.failed_swaps += 1
            raise

    async def _put(self, served: _Served, version: LoadedVersion) -> None:
        """Let a version serve, and wait until the one before it is freed, so that never three are in memory."""
        if self._closing:
            version.close()
            return
        before = served.queue.serve(version)
        served.trouble = ""
        said = version.description
        logger.info("%s: version %s (%s) serves from now on", said.name, said.version, said.digest[:12])
        if before is not None:
            await before.freed.wait()

    def _retire(self, version: LoadedVersion) -> None:
        """Free a version that nothing needs any more, in the loader's thread: it may take a while."""
        try:
            self._loader.submit(self._free, version)
        except RuntimeError:  # the loader has ended before
            version.close()

    def _free(self, version: LoadedVersion) -> None:
        version.close()
        with suppress(RuntimeError):  # of a closed event loop, on which nobody waits any more
            self._loop.call_soon_threadsafe(version.freed.set)


def _load(source: ModelSource, serving: LoadedVersion | None) -> LoadedVersion:
    running = source.read()
    if serving is not None and running.bundle.digest == serving.description.digest:
        raise InstallError(f"{source.model}: what is to be served is damaged, and what serves is the one before it")
    return load_version(running, serving)

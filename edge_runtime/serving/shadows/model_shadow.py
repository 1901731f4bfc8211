"""The shadow of one model: followed, loaded and asked; dropped where it fails, and away while versions change."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace

from edge_runtime.errors import AnswerFailed, EdgewrightError, InstallError, ModelNotServed, ServingError, SessionError
from edge_runtime.install import needed_mb, shadow_misfit
from edge_runtime.serving.loaded_version import LoadedVersion, load_version
from edge_runtime.serving.model_queue import ModelQueue
from edge_runtime.serving.model_sources import WantedShadow
from edge_runtime.serving.pending_requests import Answer, PendingRequest
from edge_runtime.serving.served_models import ModelDescription
from edge_runtime.serving.shadows.memory_room import free_bytes
from edge_runtime.serving.shadows.mirrored_share import MirroredShare
from edge_runtime.serving.shadows.shadow_counts import ShadowCounts
from edge_runtime.serving.shadows.shadow_thread import MirroredRequest, ShadowCall, ShadowThread
from edge_runtime.statistics import ShadowStatistics

logger = logging.getLogger("edgewright")
MOST_FAILURES = 5
"""Requests in a row that a shadow may fail for; then it leaves memory, until somebody chooses one again."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 30.0, 3600.0
"""Pauses before a shadow that did not load is tried again, doubled each time."""
LEAVES_S = 1.0
"""Seconds that a version which is to serve waits for a shadow's call to end, so that its memory is free."""
_MIB = 1 << 20


@dataclass
class _Beside:
    """A shadow in memory, the version that it is compared with, and what it does now."""

    wanted: WantedShadow
    serving: LoadedVersion
    version: LoadedVersion
    share: MirroredShare
    counts: ShadowCounts
    thread: ShadowThread | None = None
    asked: bool = False
    failures: int = 0

    def outputs_of(self, answer: Answer) -> list[str]:
        """Return the outputs of an answer that this shadow gives too."""
        given = {spec.name for spec in self.version.description.outputs}
        return [name for name in answer if name in given]


class ModelShadow:
    """The shadow of one model of a process, if it has one. All methods belong to the event loop.

    `wanted` says which one the model's source names. `loader` is the executor that loads versions, one at a time.
    """

    def __init__(
        self,
        queue: ModelQueue,
        wanted: Callable[[], WantedShadow | None],
        loader: Executor,
    ) -> None:
        self._queue, self._wanted, self._loader = queue, wanted, loader
        self._loop = asyncio.get_running_loop()
        self._changing = asyncio.Lock()
        self._by_hand: WantedShadow | None = None
        self._beside: _Beside | None = None
        self._leaving: LoadedVersion | None = None
        self._counts: ShadowCounts | None = None
        self._failed: WantedShadow | None = None
        self._dropped: WantedShadow | None = None
        self._pause_s, self._again_at = FIRST_PAUSE_S, 0.0
        self._closing = False

    async def follow(self, poll_s: float) -> None:
        """Look again and again which shadow is wanted, until the task is cancelled."""
        while True:
            try:
                await self.look()
            except (EdgewrightError, OSError) as error:
                logger.error("%s: it cannot be seen which shadow is wanted: %s", self._queue.model, error)
            except Exception:
                logger.exception("%s: its shadow could not be looked at", self._queue.model)
            await asyncio.sleep(poll_s)

    async def look(self) -> None:
        """Load the shadow that is wanted beside the version that serves, and end one that is not; failures are told."""
        async with self._changing:
            serving = self._queue.version
            wanted = self._wanted_beside(serving)
            if self._beside is not None and (self._beside.wanted != wanted or self._beside.serving is not serving):
                await self._leave()
            if wanted is None or (self._counts is not None and self._counts.pair[1] != wanted.digest):
                self._counts = None
            if wanted is not None and serving is not None and self._may_begin(wanted):
                try:
                    await self._begin(wanted, serving)
                except (EdgewrightError, OSError, MemoryError) as error:
                    self._tell_failed(wanted, str(error) or type(error).__name__)

    async def put(self, wanted: WantedShadow | None) -> None:
        """Load a shadow in place of the one that the source names; None goes back to that.

        Raises ModelNotServed where nothing serves yet, ServingError where the shadow before still computes, and
        InstallError, BundleError or SessionError for one that does not load, fit or find memory: then there is none.
        """
        async with self._changing:
            await self._leave()
            self._by_hand = self._counts = None
            if wanted is None:
                return
            serving, model = self._queue.version, self._queue.model
            if serving is None:
                raise ModelNotServed(f"{model} is not served yet, so nothing can be compared with it.")
            if self._leaving is not None:
                raise ServingError(f"{model}: a call of the shadow before does not end; start the process anew.")
            await self._begin(wanted, serving)
            self._by_hand = wanted

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        """Keep the shadow out of memory for the block, in which another version is loaded."""
        async with self._changing:
            await self._leave()
            yield

    def close(self) -> None:
        """End for good."""
        self._closing = True
        self._stop()

    async def ended(self) -> None:
        """Wait until the memory of the shadow is given back."""
        if self._leaving is not None:
            await self._leaving.freed.wait()

    def statistics(self) -> ShadowStatistics | None:
        """Return what was counted beside the version that serves; None without a shadow that was loaded."""
        counts, serving = self._counts, self._queue.version
        if counts is None:
            return None
        dropped = self._dropped is not None and self._dropped.digest == counts.pair[1]
        other = serving is not None and serving.description.digest != counts.pair[0]
        return None if other and not dropped else counts.read()

    def _wanted_beside(self, serving: LoadedVersion | None) -> WantedShadow | None:
        """Return the shadow that is wanted; what serves by now is none any more."""
        if self._by_hand is not None and serving is not None and self._by_hand.digest == serving.description.digest:
            self._by_hand = None
        wanted = self._by_hand or self._wanted()
        promoted = wanted is not None and serving is not None and wanted.digest == serving.description.digest
        return None if promoted else wanted

    def _may_begin(self, wanted: WantedShadow) -> bool:
        if self._closing or self._beside is not None or wanted == self._dropped:
            return False
        if self._leaving is not None and not self._leaving.freed.is_set():
            return False
        self._leaving = None
        if wanted != self._failed:
            self._pause_s, self._again_at = FIRST_PAUSE_S, 0.0
        return self._loop.time() >= self._again_at

    async def _begin(self, wanted: WantedShadow, serving: LoadedVersion) -> None:
        version = await self._loop.run_in_executor(self._loader, _load, wanted, serving.description)
        if self._closing or self._queue.version is not serving:
            version.close()
            return
        said = version.description
        if self._counts is None or self._counts.pair != (serving.description.digest, said.digest):
            self._counts = ShadowCounts(serving.description.digest, said.digest, said.release)
        beside = _Beside(wanted, serving, version, MirroredShare(wanted.budget.share), self._counts)
        beside.thread = ShadowThread(
            version, serving.tolerance, self._queue.idle,
            lambda call: self._took(beside, call), lambda: self._thread_ended(beside),
        )  # fmt: skip
        self._beside, self._failed, self._dropped = beside, None, None
        self._queue.mirror = self._mirror
        what = f"version {said.version} ({said.digest[:12]})"
        logger.info("%s: %s is compared on a share of %.4g", said.name, what, wanted.budget.share)

    def _tell_failed(self, wanted: WantedShadow, reason: str) -> None:
        self._failed, self._again_at = wanted, self._loop.time() + self._pause_s
        self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)
        logger.error("%s: the shadow %s does not load: %s", self._queue.model, wanted.digest[:12], reason)

    async def _leave(self) -> None:
        """Take the shadow out of memory, and wait for that unless its call takes too long."""
        self._stop()
        if self._leaving is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVES_S):
                await self._leaving.freed.wait()
                self._leaving = None
                return
        logger.warning("%s: its shadow does not end in time; its memory stays until then", self._queue.model)

    def _stop(self) -> None:
        """Ask the shadow no more, and let its thread end, which frees it."""
        self._queue.mirror = None
        if self._beside is not None and self._beside.thread is not None:
            self._beside.thread.stop()
            self._leaving, self._beside = self._beside.version, None

    def _mirror(self, requests: Sequence[PendingRequest], answers: Sequence[Answer | AnswerFailed]) -> None:
        """Ask the shadow for its share of requests that have their answers; what does not fit is skipped."""
        for request, answer in zip(requests, answers, strict=True):
            beside = self._beside
            if beside is None or request.version is not beside.serving or not isinstance(answer, dict):
                continue
            if beside.share.takes_next() and not self._asked(beside, request, answer):
                beside.counts.skipped += 1

    def _asked(self, beside: _Beside, request: PendingRequest, answer: Answer) -> bool:
        outputs = beside.outputs_of(answer)
        if beside.asked or beside.thread is None or not outputs or not beside.share.has_rested:
            return False
        try:
            beside.thread.ask(MirroredRequest.of(request, answer, outputs))
        except MemoryError:
            return False
        beside.asked = True
        return True

    def _thread_ended(self, beside: _Beside) -> None:
        """Free a shadow, on its own thread; where nobody has asked it to end, the thread has failed."""
        beside.version.close()
        with suppress(RuntimeError):  # of a closed event loop, on which nobody waits any more
            self._loop.call_soon_threadsafe(beside.version.freed.set)
            self._loop.call_soon_threadsafe(self._drop, beside, "its thread has failed")

    def _took(self, beside: _Beside, call: ShadowCall) -> None:
        """Count a call; a shadow that fails again and again leaves memory."""
        beside.asked = False
        beside.share.worked(call.whole_s)
        if call.found is not None:
            beside.counts.compared(call.found, call.seconds)
            beside.failures = 0
            return
        beside.counts.failed()
        beside.failures += 1
        if beside.failures >= MOST_FAILURES:
            self._drop(beside, f"it failed {beside.failures} times in a row: {call.reason}")

    def _drop(self, beside: _Beside, reason: str) -> None:
        """Take a shadow out of memory until somebody chooses one again; what was counted stays."""
        if beside is not self._beside:
            return
        self._dropped = beside.wanted
        self._stop()
        logger.error("%s: the shadow %s is dropped: %s", self._queue.model, beside.wanted.digest[:12], reason)


def _load(wanted: WantedShadow, serving: ModelDescription) -> LoadedVersion:
    """Load a shadow with one thread, where memory allows it and its tensors fit; sessions of its own."""
    running = wanted.read()
    manifest = running.bundle.manifest
    wanted.budget.check_memory(manifest)
    needed, free = needed_mb(manifest), free_bytes() / _MIB
    if needed > free:
        raise InstallError(
            f"{manifest.model} version {manifest.version} needs about {needed:.0f} MiB as a shadow, and {free:.0f} MiB "
            "are free; it is tried again later."
        )
    version = load_version(replace(running, session=replace(running.session, threads=1)))
    said = version.description
    missed = shadow_misfit(serving.inputs, serving.outputs, said.inputs, said.outputs)
    if missed is not None:
        version.close()
        raise SessionError(f"{said.name} version {said.version} can be no shadow: {missed}.")
    return version

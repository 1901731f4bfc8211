"""The queue of one model, and the thread that answers what waits in it, one call of the session at a time.

A request waits on the event loop. The thread takes what is there as soon as the session is free, as many rows as the
plan allows, so it never idles while somebody waits, and nobody waits for a batch to fill. ONNX Runtime lets go of the
interpreter's lock while it computes, so the loop goes on.
"""

import asyncio
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import numpy as np

from edge_runtime.errors import AnswerFailed, BadRequest, DeadlineExceeded, ModelNotServed, Overloaded
from edge_runtime.serving.loaded_version import LoadedVersion
from edge_runtime.serving.model_counts import ModelCounts
from edge_runtime.serving.pending_requests import Answer, Batch, PendingRequest, Ran, next_batch
from edge_runtime.serving.served_models import ModelStatistics
from edge_runtime.serving.serving_settings import ServingSettings

logger = logging.getLogger("edgewright")
MARGIN = 1.1
"""Times the expected wait that must lie before a request's deadline, else it is turned away at once."""
_LOOK_S = 60.0  # so often an idle thread looks whether its event loop still exists
_MIB = 1 << 20


class ModelQueue:
    """Requests of one model, and its version. All methods belong to the event loop, which it is made on.

    `retire` is called, on any thread, with a version that has left and that no request needs any more.
    """

    def __init__(self, model: str, settings: ServingSettings, retire: Callable[[LoadedVersion], None]) -> None:
        self.model = model
        self.counts = ModelCounts()
        self._settings = settings
        self._retire = retire
        self._loop = asyncio.get_running_loop()
        self._changed = threading.Condition(threading.Lock())  # guards the five below, and pins of versions
        self._waiting: dict[PendingRequest, None] = {}
        self._waiting_share = 0.0
        self._waiting_bytes = 0
        self._running_work = 0.0
        self._stopped = False
        self._version: LoadedVersion | None = None
        self._open_requests: set[PendingRequest] = set()
        self._closing = False
        self.idle = threading.Event()
        """Set while nothing waits and nothing runs."""
        self.mirror: Callable[[Sequence[PendingRequest], Sequence[Answer | AnswerFailed]], None] | None = None
        """Called with requests after their answers; it must not raise."""
        self._all_ended = asyncio.Event()
        self.ended = asyncio.Event()
        """Set once the thread has nothing left to do."""
        self.thread = threading.Thread(target=self._work, name=f"edgewright-{model}", daemon=True)
        self.thread.start()

    @property
    def version(self) -> LoadedVersion | None:
        """The version that takes requests on; None before the first is loaded, and while the process ends."""
        return None if self._closing else self._version

    def serve(self, version: LoadedVersion) -> LoadedVersion | None:
        """Let a version take on every request from now; return the one before, which answers those that it has."""
        with self._changed:
            before, self._version = self._version, version
            unused = before is not None and self._retired(before)
        if before is not None:
            self.counts.swaps += 1
        if before is not None and unused:
            self._retire(before)
        return before

    async def answer(
        self, arrays: Mapping[str, np.ndarray], deadline_s: float | None, outputs: Sequence[str] | None
    ) -> Answer:
        """Answer a request, as ServedModels says."""
        request = None
        try:
            request = self._admitted(arrays, self._deadline(deadline_s), outputs)
            answer = await request.future
        except BaseException as error:
            self.counts.ended(error)
            raise
        else:
            self.counts.ended(None)
            self.counts.answered(time.monotonic() - request.begun)
            return answer
        finally:
            if request is not None:
                self._leave(request)
            del request  # an error's traceback would keep it, and its arrays, in a circle

    def statistics(self) -> ModelStatistics:
        """Return what was counted so far."""
        version = self._version.description.version if self._version is not None else ""
        drift = self._version.drift.read() if self._version is not None else ()
        return self.counts.read(self.model, version, len(self._waiting), drift)

    async def close(self) -> None:
        """Take on no request any more, and give those that are there `drain_s` to be answered; then fail the rest."""
        self._closing = True
        try:
            if self._open_requests:
                async with asyncio.timeout(self._settings.drain_s):
                    await self._all_ended.wait()
        except TimeoutError:
            logger.warning("%s: %d requests were not answered in time", self.model, len(self._open_requests))
        finally:
            self.stop()

    def stop(self) -> None:
        """Fail every request, and let the thread end after what it computes now."""
        self._closing = True
        for request in self._open_requests:
            if not request.future.done():
                request.future.set_exception(ModelNotServed(f"{self.model} is not served any more: the process ends."))
        with self._changed:
            self._stopped = True
            version, self._version = self._version, None
            unused = version is not None and self._retired(version)
            self._changed.notify()
        if version is not None and unused:
            self._retire(version)

    def _end(self) -> None:
        self.stop()
        self.ended.set()

    def _deadline(self, deadline_s: float | None) -> float:
        if deadline_s is None:
            return self._settings.deadline_s
        if type(deadline_s) not in (int, float) or math.isnan(deadline_s) or deadline_s <= 0:
            raise BadRequest(f"deadline_s must be a number of seconds above 0, not {deadline_s!r}.")
        return float(deadline_s)

    def _admitted(
        self, arrays: Mapping[str, np.ndarray], deadline_s: float, outputs: Sequence[str] | None
    ) -> PendingRequest:
        """Put a request into the queue. Raises BadRequest, Overloaded or ModelNotServed."""
        version = self.version
        if version is None:
            raise ModelNotServed(f"{self.model} is not served now; try again when it is ready.")
        request = PendingRequest(version, arrays, outputs, deadline_s)
        with self._changed:
            self._check_room(request, deadline_s)
            version.pins += 1
            self._waiting[request] = None
            self._waiting_share += request.share
            self._waiting_bytes += request.size
            self.idle.clear()
            self._changed.notify()
        self._open_requests.add(request)
        if math.isfinite(deadline_s):
            request.timer = self._loop.call_later(deadline_s, _expire, request, deadline_s)
        return request

    def _check_room(self, request: PendingRequest, deadline_s: float) -> None:
        """Raise Overloaded where a request would wait too long, or where too many wait. Whoever is first may come in.

        That is why a time that was measured while the machine was busy cannot keep everybody out for good.
        """
        if not self._waiting and not self._running_work:
            return
        pace = request.version.pace.seconds_per_work
        ahead = self._running_work + self._waiting_share
        expected_s = 0.0 if pace is None else pace * (ahead + request.version.plan.work(request.rows)) * MARGIN
        reason = None
        if len(self._waiting) >= self._settings.most_waiting:
            reason = f"{len(self._waiting)} requests wait for {self.model}, and no more may; try later."
        elif self._waiting and self._waiting_bytes + request.size > self._settings.most_waiting_mb * _MIB:
            reason = f"Requests of {self._waiting_bytes} bytes wait for {self.model}, and no more may; try later."
        elif expected_s > deadline_s:
            reason = (
                f"{self.model} would answer in about {expected_s:.3g} s, and the deadline is in {deadline_s:.3g} s; "
                "try later, or allow more time."
            )
        if reason is not None:
            raise Overloaded(reason, max(1.0, expected_s))

    def _leave(self, request: PendingRequest) -> None:
        """Forget a request that has ended, wherever it is."""
        if request.timer is not None:
            request.timer.cancel()
        self._open_requests.discard(request)
        if self._closing and not self._open_requests:
            self._all_ended.set()
        with self._changed:
            self._take_out(request)
        self._unpin(request.version)

    def _take_out(self, request: PendingRequest) -> None:
        """Take a request out of those that wait; the lock is held."""
        if request in self._waiting:
            del self._waiting[request]
            self._waiting_bytes -= request.size
            self._waiting_share = self._waiting_share - request.share if self._waiting else 0.0

    def _retired(self, version: LoadedVersion) -> bool:
        """Retire a version; True where nothing needs it any more. The lock is held."""
        version.retired = True
        return version.pins == 0

    def _unpin(self, version: LoadedVersion) -> None:
        with self._changed:
            version.pins -= 1
            unused = version.retired and version.pins == 0
        if unused:
            self._retire(version)

    def _work(self) -> None:
        """Answer batches until the queue stops: the whole life of the thread."""
        try:
            while (batch := self._next_batch()) is not None:
                self._answer(batch)
                del batch  # it would keep arrays while the thread waits
        except BaseException:
            if not self._loop.is_closed():
                logger.exception("%s: the thread that answers has failed, and the model is served no more", self.model)
        finally:
            with suppress(RuntimeError):  # of a closed event loop, on which nobody waits any more
                self._loop.call_soon_threadsafe(self._end)

    def _answer(self, batch: Batch) -> None:
        """Run a batch and deliver it; what it says about drift is counted when nobody waits for it any more."""
        ran, drift = batch.run(), batch.version.drift
        sample = drift.sample(batch.answered(ran))
        self._loop.call_soon_threadsafe(self._deliver, batch, ran)
        drift.count(sample)

    def _next_batch(self) -> Batch | None:
        """Wait for requests and take them; None where the queue has stopped or its event loop is gone."""
        with self._changed:
            while not self._stopped and not self._loop.is_closed():
                now = time.monotonic()
                taken, wait_s = next_batch(self._waiting, now, self._settings.window_ms / 1000)
                if taken:
                    batch = Batch(taken[0].version, taken, now)
                    batch.version.pins += 1
                    for request in taken:
                        self._take_out(request)
                    self._running_work = batch.version.plan.work(batch.rows)
                    return batch
                self._running_work = 0.0
                if wait_s is None:
                    self.idle.set()
                self._changed.wait(_LOOK_S if wait_s is None else wait_s)
        return None

    def _deliver(self, batch: Batch, ran: Ran) -> None:
        """Give each request its answer, on the event loop."""
        for rows, seconds in ran.calls:
            self.counts.called(rows, seconds)
            batch.version.pace.seen(batch.version.plan.work(rows), seconds)
        for request, answer in zip(batch.requests, ran.answers, strict=True):
            self.counts.waited(batch.begun - request.begun)
            if request.future.done():
                continue
            if isinstance(answer, dict):
                request.future.set_result(answer)
            else:
                request.future.set_exception(answer)
        self._unpin(batch.version)
        if self.mirror is not None:
            self.mirror(batch.requests, ran.answers)


def _expire(request: PendingRequest, deadline_s: float) -> None:
    if not request.future.done():
        request.future.set_exception(
            DeadlineExceeded(
                f"No answer came within {deadline_s:.3g} s; allow more time, or ask when less is going on."
            )
        )

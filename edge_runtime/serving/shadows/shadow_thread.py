"""The thread of a shadow: one request at a time, at the lowest priority, once what serves has nothing to do."""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edge_runtime.serving.loaded_version import LoadedVersion
from edge_runtime.serving.pending_requests import Answer, PendingRequest
from edge_runtime.serving.shadows.row_comparison import RowComparison, compare_rows

LOWEST = 19
"""The nice value of the lowest priority; Linux has one for each thread."""
MOST_BYTES = 4 << 20
"""Bytes of a request and its answer that are copied for a shadow; of a larger one, its first rows."""
_LOOK_S, _IDLE_S = 0.2, 60.0  # so often a thread that waits looks whether it is still needed


@dataclass(frozen=True)
class MirroredRequest:
    """A copy of a request and of the answer that it got: who asked may write into both from then on."""

    arrays: Mapping[str, np.ndarray]
    answer: Answer
    rows: int

    @classmethod
    def of(cls, request: PendingRequest, answer: Answer, outputs: Sequence[str]) -> "MirroredRequest":
        """Copy what is to be compared; a request that is no rows is compared as one."""
        given = {name: answer[name] for name in outputs}
        size = request.size + sum(array.nbytes for array in given.values())
        has_rows = request.kind is not None and all(
            spec.shape[0] is None for spec in request.version.description.inputs
        ) and all(array.ndim and len(array) == request.rows for array in given.values())  # fmt: skip
        rows = request.rows if has_rows else 1
        taken = max(1, rows * MOST_BYTES // size) if size > MOST_BYTES else rows
        part = slice(min(rows, taken)) if has_rows else ...
        arrays = {name: array[part].copy() for name, array in request.arrays.items()}
        return cls(arrays, {name: array[part].copy() for name, array in given.items()}, min(rows, taken))


@dataclass(frozen=True)
class ShadowCall:
    """The end of a call: its seconds, those with the comparison, and this; where it failed, the reason in its place."""

    seconds: float
    whole_s: float
    found: RowComparison | None = None
    reason: str = ""


class ShadowThread:
    """A version that answers copies of requests, one at a time; made on the event loop, whose `told` hears of each.

    It begins a call only while `idle` is set. `ended` is called on this thread, last of all. A call that does not end
    keeps nothing but its own memory and this thread.
    """

    def __init__(
        self,
        version: LoadedVersion,
        tolerance: Mapping[str, float],
        idle: threading.Event,
        told: Callable[[ShadowCall], None],
        ended: Callable[[], None],
    ) -> None:
        self._version, self._tolerance, self._idle = version, tolerance, idle
        self._told, self._ended = told, ended
        self._loop = asyncio.get_running_loop()
        self._changed = threading.Condition(threading.Lock())  # guards the two below
        self._request: MirroredRequest | None = None
        self._stopped = False
        name = f"edgewright-shadow-{version.description.name}"
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def ask(self, request: MirroredRequest) -> None:
        """Let a request be answered and compared; the one before has been told of."""
        with self._changed:
            self._request = request
            self._changed.notify()

    def stop(self) -> None:
        """Let the thread end after what it computes now."""
        with self._changed:
            self._stopped = True
            self._request = None
            self._changed.notify()

    def _work(self) -> None:
        try:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST)
            while (request := self._next()) is not None:
                self._loop.call_soon_threadsafe(self._told, self._call(request))
                del request  # it would keep arrays while the thread waits
        except RuntimeError:  # of a closed event loop, on which nobody waits any more
            if not self._loop.is_closed():
                raise
        finally:
            self._ended()

    def _next(self) -> MirroredRequest | None:
        """Wait for a request, and until what serves is idle; None where the thread is to end."""
        with self._changed:
            while self._request is None and not self._is_over:
                self._changed.wait(_IDLE_S)
            request, self._request = self._request, None
        while not self._is_over and not self._idle.wait(_LOOK_S):
            pass
        return None if self._is_over else request

    @property
    def _is_over(self) -> bool:
        return self._stopped or self._loop.is_closed()

    def _call(self, request: MirroredRequest) -> ShadowCall:
        begun = time.perf_counter()
        try:
            outputs = self._version.predict(request.arrays, list(request.answer))
            seconds = time.perf_counter() - begun
            beside = dict(zip(request.answer, outputs, strict=True))
            found = compare_rows(request.answer, beside, request.rows, self._tolerance)
            return ShadowCall(seconds, time.perf_counter() - begun, found)
        except BaseException as error:  # the text alone: its traceback would keep the session
            seconds = time.perf_counter() - begun
            return ShadowCall(seconds, seconds, reason=str(error) or type(error).__name__)

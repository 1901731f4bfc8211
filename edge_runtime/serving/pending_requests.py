"""Requests from their check to their answer, and the batches that they run in."""

import asyncio
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from edge_runtime.errors import AnswerFailed
from edge_runtime.serving.loaded_version import LoadedVersion

logger = logging.getLogger("edgewright")
Answer = dict[str, np.ndarray]


class PendingRequest:
    """A request that the version has taken on; it is answered by this version, whatever is loaded meanwhile.

    Raises BadRequest for what the version does not take.
    """

    __slots__ = (
        "arrays", "begun", "deadline", "future", "kind", "rows", "share", "size", "timer", "version", "wanted",
    )  # fmt: skip

    def __init__(
        self, version: LoadedVersion, arrays: Mapping[str, np.ndarray], outputs: Sequence[str] | None, deadline_s: float
    ) -> None:
        version.check(arrays, outputs)
        self.version = version
        self.arrays = dict(arrays)
        every = (spec.name for spec in version.description.outputs)
        self.wanted = tuple(dict.fromkeys(outputs or every))
        firsts = {array.shape[0] if array.ndim else 0 for array in self.arrays.values()}
        self.rows = max(firsts)
        self.size = sum(array.nbytes for array in self.arrays.values())
        self.share = version.plan.share(self.rows)
        whole = len(firsts) == 1 and self.rows > 0
        # Only rows of one kind run together: what is free beside the rows, such as a length, may differ by request.
        self.kind = tuple(self.arrays[spec.name].shape[1:] for spec in version.description.inputs) if whole else None
        self.begun = time.monotonic()
        self.deadline = self.begun + deadline_s
        self.future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.timer: asyncio.TimerHandle | None = None

    def runs_with(self, other: "PendingRequest") -> bool:
        """Tell whether two requests may run in one batch."""
        return self.version is other.version and self.kind is not None and self.kind == other.kind


def next_batch(
    waiting: Iterable[PendingRequest], now: float, window_s: float
) -> tuple[tuple[PendingRequest, ...], float | None]:
    """Choose the requests to run next, or return none and the seconds to wait; None where nothing waits.

    Whoever has waited longest runs, with those of its kind that fit. Nobody is overtaken by another one of its kind. A
    batch that is not full waits until its first request has waited `window_s`, or half of its time.
    """
    alive = (each for each in waiting if each.deadline > now and not each.future.done())
    head = next(alive, None)
    if head is None:
        return (), None
    most, rows, taken = head.version.plan.most_rows, head.rows, [head]
    for request in alive:
        if rows >= most:
            break
        if head.runs_with(request):
            if rows + request.rows > most:
                rows = most
                break
            taken.append(request)
            rows += request.rows
    if head.kind is not None and rows < most:
        left_s = head.begun + min(window_s, (head.deadline - head.begun) / 2) - now
        if left_s > 0:
            return (), left_s
    return tuple(taken), 0.0


@dataclass
class Ran:
    """The end of a batch: an answer or an AnswerFailed for each request, and rows and seconds of each call."""

    answers: list[Answer | AnswerFailed] = field(default_factory=list)
    calls: list[tuple[int, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Batch:
    """Requests of one version that run together; `begun` is when, by time.monotonic."""

    version: LoadedVersion
    requests: tuple[PendingRequest, ...]
    begun: float

    @property
    def rows(self) -> int:
        """The rows of all requests."""
        return sum(request.rows for request in self.requests)

    def run(self) -> Ran:
        """Answer every request. Nothing is raised: where a batch fails, its requests are answered one by one."""
        ran = Ran()
        if len(self.requests) > 1:
            try:
                self._together(ran)
                return ran
            except BaseException as error:
                name = self.version.description.name
                logger.warning("%s: a batch of %d requests failed: %s", name, len(self.requests), str(error))
                ran = Ran()
        for request in self.requests:
            ran.answers.append(self._alone(request, ran))
        return ran

    def answered(self, ran: Ran) -> Iterator[tuple[Mapping[str, np.ndarray], int, Answer | AnswerFailed]]:
        """Yield the arrays of each request, the number of its rows, 0 for one without rows, and its answer."""
        for request, answer in zip(self.requests, ran.answers, strict=True):
            yield request.arrays, request.rows if request.kind is not None else 0, answer

    def _together(self, ran: Ran) -> None:
        first = self.requests[0]
        joined = {name: np.concatenate([each.arrays[name] for each in self.requests]) for name in first.arrays}
        wanted = self._wanted()
        begun = time.perf_counter()
        outputs = self.version.predict_rows(joined, wanted)
        seconds = time.perf_counter() - begun
        for name, output in outputs.items():
            rows = self.rows if (chosen := wanted[name]) is None else len(chosen)
            if output.ndim == 0 or output.shape[0] != rows:
                reason = f"{rows} rows gave the output {name} in the shape {output.shape}"
                self.version.answer_alone(reason)
                raise ValueError(reason)
        ran.calls.append((self.rows, seconds))
        starts = dict.fromkeys(outputs, 0)
        for request in self.requests:
            answer = {}
            for name in request.wanted:
                # A copy: a part of the whole would keep all of it in memory.
                answer[name] = outputs[name][starts[name] : starts[name] + request.rows].copy()
                starts[name] += request.rows
            ran.answers.append(answer)

    def _wanted(self) -> dict[str, np.ndarray | None]:
        """Return the outputs that are asked for, each with the numbers of the rows that want it; None for all rows."""
        asked: dict[str, list[range]] = {}
        start = 0
        for request in self.requests:
            for name in request.wanted:
                asked.setdefault(name, []).append(range(start, start + request.rows))
            start += request.rows
        every = len(self.requests)
        return {name: None if len(parts) == every else np.concatenate(parts) for name, parts in asked.items()}

    def _alone(self, request: PendingRequest, ran: Ran) -> Answer | AnswerFailed:
        if request.future.done():  # it was given up, or its deadline has passed
            return AnswerFailed("The request was given up.")
        begun = time.perf_counter()
        try:
            outputs = self.version.predict(request.arrays, request.wanted)
            ran.calls.append((request.rows, time.perf_counter() - begun))
            return dict(zip(request.wanted, outputs, strict=True))
        except BaseException as error:  # the text alone: its traceback would keep the session
            said = str(error) or type(error).__name__
            return AnswerFailed(f"{self.version.description.name} failed for this request: {said}")

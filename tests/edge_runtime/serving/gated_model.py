"""A model in memory whose calls a test can hold, and a queue that serves it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np

from edge_runtime.bundle import TensorSpec
from edge_runtime.errors import SessionError
from edge_runtime.serving import ModelDescription, ServingSettings
from edge_runtime.serving.batching_plan import BatchingPlan
from edge_runtime.serving.loaded_version import LoadedVersion
from edge_runtime.serving.model_queue import ModelQueue

Arrays = Mapping[str, np.ndarray]
LONGEST_S = 60.0
"""Seconds after which a test counts as hung; nothing waits for them to pass."""


def doubled(arrays: Arrays) -> list[np.ndarray]:
    """Return y = 2 x."""
    return [arrays["x"] * 2]


class GatedModel:
    """A model of y from x, both of free rows and a free width; its calls wait while `hold` is in force."""

    inputs: tuple[TensorSpec, ...] = (TensorSpec("x", "float32", (None, None)),)
    outputs: tuple[TensorSpec, ...] = (TensorSpec("y", "float32", (None, None)),)

    def __init__(self, function: Callable[[Arrays], list[np.ndarray]] = doubled) -> None:
        self._function = function
        self._held = False
        self._permits = threading.Semaphore(0)
        self._entered = threading.Semaphore(0)
        self.calls: list[tuple[int, ...]] = []
        """The shape of x in each call."""

    def check(self, arrays: Arrays) -> None:
        if set(arrays) != {"x"} or arrays["x"].ndim != 2 or arrays["x"].dtype != np.float32:
            raise SessionError("The input x must be float32 of shape (rows, width).")

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        return (*self.inputs, *self.outputs)

    def predict_rows(self, arrays: Arrays, rows: Mapping[str, np.ndarray | None]) -> dict[str, np.ndarray]:
        return dict(zip(rows, self.predict(arrays, list(rows)), strict=True))

    def predict(self, arrays: Arrays, outputs: Sequence[str] | None = None) -> list[np.ndarray]:
        assert outputs is None or set(outputs) == {"y"}
        self.calls.append(arrays["x"].shape)
        self._entered.release()
        if self._held and not self._permits.acquire(timeout=LONGEST_S):
            raise AssertionError("the test did not let go")
        return self._function(arrays)

    def hold(self) -> None:
        self._permits = threading.Semaphore(0)
        self._held = True

    def let_one(self) -> None:
        """Let one call end, that of now or the next one."""
        self._permits.release()

    def let_go(self) -> None:
        self._held = False
        self._permits.release(1000)

    async def entered(self) -> None:
        """Wait for the next call to begin."""
        assert await asyncio.to_thread(self._entered.acquire, timeout=LONGEST_S)


def version_of(model: GatedModel, most_rows: int = 8, name: str = "1") -> LoadedVersion:
    """Return a version with batches of at most so many rows."""
    described = ModelDescription("gated", name, "", name * 64, model.inputs, model.outputs, most_rows > 1)
    return LoadedVersion(model, described, BatchingPlan(most_rows))


@dataclass
class Served:
    """A queue that serves a model, and the versions that were retired."""

    queue: ModelQueue
    retired: list[LoadedVersion] = field(default_factory=list)

    def ask(self, x: np.ndarray, deadline_s: float | None = None) -> "asyncio.Task[dict[str, np.ndarray]]":
        """Ask in a task of its own."""
        return asyncio.create_task(self.queue.answer({"x": x}, deadline_s, None))

    async def asked(self, *inputs: np.ndarray) -> "list[asyncio.Task[dict[str, np.ndarray]]]":
        """Ask in tasks of their own, one after the other, and return once all wait."""
        tasks = []
        for x in inputs:
            tasks.append(self.ask(x))
            await asyncio.sleep(0)
        return tasks


@asynccontextmanager
async def served(model: GatedModel, most_rows: int = 8, **settings: float) -> AsyncIterator[Served]:
    """Serve a model in a queue, and close it."""
    retired: list[LoadedVersion] = []
    queue = ModelQueue("gated", ServingSettings(**settings), retired.append)  # type: ignore[arg-type]
    queue.serve(version_of(model, most_rows))
    try:
        yield Served(queue, retired)
    finally:
        model.let_go()
        await queue.close()
        queue.thread.join(LONGEST_S)
        assert not queue.thread.is_alive()


def rows(count: int, width: int = 2, start: float = 1.0) -> np.ndarray:
    """Return rows with values of their own, float32, (count, width)."""
    return np.arange(start, start + count * width, dtype=np.float32).reshape(count, width)


@asynccontextmanager
async def at_work(
    most_rows: int = 8, **settings: float
) -> "AsyncIterator[tuple[GatedModel, Served, asyncio.Task[dict[str, np.ndarray]]]]":
    """Serve a held model whose session is at work on a request of one row; yield the model, the queue and its task."""
    model = GatedModel()
    model.hold()
    async with served(model, most_rows, **settings) as site:
        running = site.ask(rows(1))
        await model.entered()
        yield model, site, running

"""Load that is offered to a runtime: requests that come when they come, and clients that ask without a pause."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from edge_runtime.errors import ServingError
from edge_runtime.serving import Runtime

Arrays = Mapping[str, np.ndarray]


@dataclass
class Answered:
    """The ends of requests: seconds of those that were answered, and names of the errors of the others."""

    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def share(self) -> float:
        """The share of requests that was answered."""
        return len(self.seconds) / max(1, len(self.seconds) + len(self.failures))

    def quantile_ms(self, share: float) -> float:
        """Return a quantile of the times, in milliseconds."""
        return float(np.quantile(self.seconds, share) * 1000) if self.seconds else float("nan")


async def offered(
    runtime: Runtime, model: str, arrays: Arrays, per_second: float, count: int, deadline_s: float
) -> Answered:
    """Send requests at random times, whatever becomes of those before; times count from when each was to be sent."""
    chance, answered = np.random.default_rng(0), Answered()
    moments = time.perf_counter() + np.cumsum(chance.exponential(1 / per_second, count))
    async with asyncio.TaskGroup() as group:
        for moment in moments:
            if (pause := float(moment) - time.perf_counter()) > 0:
                await asyncio.sleep(pause)
            group.create_task(_ask(runtime, model, arrays, float(moment), deadline_s, answered))
    return answered


async def _ask(
    runtime: Runtime, model: str, arrays: Arrays, begun: float, deadline_s: float, answered: Answered
) -> None:
    try:
        await runtime.answer(model, arrays, deadline_s=deadline_s)
        answered.seconds.append(time.perf_counter() - begun)
    except ServingError as error:
        answered.failures.append(type(error).__name__)


async def saturated(runtime: Runtime, model: str, arrays: Arrays, clients: int, seconds: float) -> float:
    """Return the answers per second of clients that ask again at once."""
    ends, count = time.perf_counter() + seconds, 0

    async def ask() -> None:
        nonlocal count
        while time.perf_counter() < ends:
            await runtime.answer(model, arrays, deadline_s=60.0)
            count += 1

    begun = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(ask())
    return count / (time.perf_counter() - begun)

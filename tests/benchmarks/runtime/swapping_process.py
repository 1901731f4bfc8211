"""A process that serves two versions of a model by turns, under load; it prints its figures as JSON.

`python -m tests.benchmarks.runtime.swapping_process FIRST SECOND REQUESTS SWAPS`: FIRST and SECOND are manifests. It
loads what a serving process loads, so that its memory is that of one.
"""

import asyncio
import gc
import json
import sys
from collections.abc import Sequence
from itertools import cycle

import numpy as np

from edge_runtime.measurement.memory import resident_mb
from edge_runtime.serving import Runtime
from tests.benchmarks.runtime.offered_load import Answered, offered

PAUSE_S = 0.5
WARM = 30
"""Swaps before memory is looked at first."""


async def swaps_under_load(paths: Sequence[str], requests: int, per_second: float) -> dict[str, float]:
    """Offer the same load without swaps, then with a swap every half second."""
    async with Runtime.of_bundle(paths[0]) as runtime:
        (name,) = runtime.names()
        (spec,) = runtime.description(name).inputs
        row = {spec.name: np.zeros((1, *(size or 1 for size in spec.shape[1:])), spec.dtype)}
        quiet = await offered(runtime, name, row, per_second, requests, 10.0)
        swapping = asyncio.create_task(_swap_for_ever(runtime, paths))
        busy = await offered(runtime, name, row, per_second, requests, 10.0)
        swapping.cancel()
        swaps = runtime.statistics()[0].swaps
    return {"swaps_under_load": swaps, **_said("quiet", quiet), **_said("busy", busy)}


def _said(kind: str, answered: Answered) -> dict[str, float]:
    return {
        f"{kind}_failed": len(answered.failures),
        f"{kind}_p50_ms": answered.quantile_ms(0.5),
        f"{kind}_p99_ms": answered.quantile_ms(0.99),
    }


async def _swap_for_ever(runtime: Runtime, paths: Sequence[str]) -> None:
    for path in cycle((paths[1], paths[0])):
        await runtime.swap(path)
        await asyncio.sleep(PAUSE_S)


async def memory_of_swaps(paths: Sequence[str], swaps: int) -> dict[str, float]:
    """Swap so many times, a request to each version, and return the resident memory before and after, in MiB."""
    async with Runtime.of_bundle(paths[0]) as runtime:
        (name,) = runtime.names()
        (spec,) = runtime.description(name).inputs
        row = {spec.name: np.zeros((1, *(size or 1 for size in spec.shape[1:])), spec.dtype)}
        found = list[float]()
        for count, path in zip(range(WARM + swaps), cycle((paths[1], paths[0]))):
            if count == WARM:
                gc.collect()
                found.append(resident_mb())
            await runtime.swap(path)
            await runtime.answer(name, row)
        gc.collect()
        return {"rss_before_mb": found[0], "rss_after_mb": resident_mb(), "swaps": runtime.statistics()[0].swaps}


def main() -> None:
    """Run both, and print."""
    first, second, requests, swaps, per_second = sys.argv[1:]
    memory = asyncio.run(memory_of_swaps((first, second), int(swaps)))
    loaded = asyncio.run(swaps_under_load((first, second), int(requests), float(per_second)))
    sys.stdout.write(json.dumps(memory | loaded) + "\n")


if __name__ == "__main__":
    main()

"""A shadow in memory beside a model in memory, both of whose calls a test can hold."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np
import pytest

from edge_runtime.install import RunningModel, ShadowBudget
from edge_runtime.serving import ShadowStatistics
from edge_runtime.serving.loaded_version import LoadedVersion
from edge_runtime.serving.model_sources import WantedShadow
from edge_runtime.serving.shadows import ModelShadow
from tests.edge_runtime.serving.gated_model import LONGEST_S, Arrays, GatedModel, Served, rows, served, version_of


def negated(arrays: Arrays) -> list[np.ndarray]:
    """Return y = -2 x, whose largest value is elsewhere."""
    return [arrays["x"] * -2]


def not_read() -> RunningModel:
    """Raise: a shadow in memory has no bundle."""
    raise AssertionError("a bundle was read")


def wanted_shadow(share: float = 1.0, since: str = "") -> WantedShadow:
    """Return the choice of the shadow in memory."""
    return WantedShadow("2" * 64, ShadowBudget(share), not_read, since)


@dataclass
class Beside:
    """A queue that serves, and the shadow beside it; `made` are the versions that were loaded for it."""

    site: Served
    shadow: ModelShadow
    made: list[LoadedVersion]

    @property
    def freed(self) -> list[LoadedVersion]:
        """The versions whose memory was given back."""
        return [version for version in self.made if version.freed.is_set()]

    @property
    def found(self) -> ShadowStatistics:
        statistics = self.shadow.statistics()
        assert statistics is not None
        return statistics

    async def answer(self, count: int = 1) -> np.ndarray:
        """Ask for some rows, and return the answer."""
        return (await self.site.ask(rows(count)))["y"]

    async def counted(self, count: int) -> None:
        """Wait until so many requests of the share have come to their end."""
        await until(lambda: self.found.requests + self.found.failed + self.found.skipped >= count)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(LONGEST_S):
        while not condition():
            await asyncio.sleep(0.002)


@asynccontextmanager
async def beside(
    patch: pytest.MonkeyPatch, shadow: GatedModel, share: float = 1.0, serving: GatedModel | None = None
) -> AsyncIterator[Beside]:
    """Serve a model, and put a shadow beside it; both end with the block."""
    made: list[LoadedVersion] = []

    def load(*_: object) -> LoadedVersion:
        made.append(version_of(shadow, name="2"))
        return made[-1]

    patch.setattr("edge_runtime.serving.shadows.model_shadow._load", load)
    with ThreadPoolExecutor(1) as loader:
        async with served(serving or GatedModel()) as site:
            model = ModelShadow(site.queue, lambda: None, loader)
            await model.put(wanted_shadow(share))
            try:
                yield Beside(site, model, made)
            finally:
                shadow.let_go()
                model.close()
                await model.ended()

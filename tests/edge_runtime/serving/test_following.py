"""Following a device's store: what another process installs is swapped in, and what does not load is not."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.errors import ModelNotServed
from edge_runtime.install import RunningModel
from edge_runtime.serving import Runtime, ServingSettings
from edge_runtime.serving.loaded_version import LoadedVersion, load_version
from edge_runtime.serving.model_sources import StoreSource
from tests.edge_runtime.install.carried import CLASSES, MODEL
from tests.edge_runtime.serving.gated_model import LONGEST_S
from tests.edge_runtime.serving.stored import Stored, some_rows

LOAD = "edge_runtime.serving.model_host.load_version"
OFTEN = ServingSettings(poll_s=0.01)


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    return Stored(tmp_path)


@asynccontextmanager
async def following(stored: Stored) -> AsyncIterator[Runtime]:
    async with Runtime([StoreSource(stored.store, MODEL)], OFTEN) as runtime:
        yield runtime


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LONGEST_S):
        while not condition():
            await asyncio.sleep(0.005)


def serves(runtime: Runtime, version: str) -> Callable[[], bool]:
    return lambda: runtime.is_ready(MODEL) and runtime.description(MODEL).version == version


def more_than(answered: list[np.ndarray], count: int) -> Callable[[], bool]:
    return lambda: len(answered) > count


async def answers_as(runtime: Runtime, stored: Stored, seed: int) -> None:
    answer = await runtime.answer(MODEL, {"x": some_rows()})
    np.testing.assert_allclose(answer["y"], stored.right(seed, some_rows()), rtol=1e-3, atol=1e-3)


def test_what_is_installed_serves_and_what_is_installed_next_takes_its_place(stored: Stored) -> None:
    async def scenario() -> None:
        first = stored.put(1)
        async with following(stored) as runtime:
            assert runtime.description(MODEL).digest == first.digest
            await answers_as(runtime, stored, 1)
            second = stored.put(2)
            await until(serves(runtime, "2"))
            assert runtime.description(MODEL).digest == second.digest
            await answers_as(runtime, stored, 2)
            (counted,) = runtime.statistics()
            assert (counted.version, counted.swaps, counted.failed_swaps) == ("2", 1, 0)

    asyncio.run(scenario())


def test_a_rollback_is_followed_too(stored: Stored) -> None:
    async def scenario() -> None:
        stored.put(1)
        stored.put(2)
        async with following(stored) as runtime:
            await answers_as(runtime, stored, 2)
            stored.back()
            await until(serves(runtime, "1"))
            await answers_as(runtime, stored, 1)

    asyncio.run(scenario())


def test_a_model_that_is_installed_later_is_ready_later(stored: Stored) -> None:
    async def scenario() -> None:
        async with following(stored) as runtime:
            assert runtime.names() == [MODEL] and not runtime.is_ready(MODEL)
            with pytest.raises(ModelNotServed, match="nothing is installed"):
                await runtime.answer(MODEL, {"x": some_rows()})
            with pytest.raises(ModelNotServed, match="nothing is installed"):
                runtime.description(MODEL)
            stored.put(1)
            await until(serves(runtime, "1"))
            await answers_as(runtime, stored, 1)
            assert runtime.statistics()[0].swaps == 0

    asyncio.run(scenario())


def test_a_bundle_that_answers_wrongly_leaves_the_old_one_serving(
    stored: Stored, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        stored.put(1)
        async with following(stored) as runtime:
            stored.put(2, answers=np.zeros((8, CLASSES), np.float32))
            await until(lambda: runtime.statistics()[0].failed_swaps == 1)
            await answers_as(runtime, stored, 1)
            assert "version 1 goes on serving: camera version 2 answers wrongly here" in caplog.text
            stored.put(3)
            await until(serves(runtime, "3"))
            assert runtime.statistics()[0].failed_swaps == 1

    asyncio.run(scenario())


def test_a_damaged_bundle_leaves_the_old_one_serving(stored: Stored) -> None:
    async def scenario() -> None:
        stored.put(1)
        async with following(stored) as runtime:
            second = stored.put(2)
            await until(serves(runtime, "2"))
            stored.back()
            await until(serves(runtime, "1"))
            stored.damage_graph(2)
            stored.commit(second)
            await until(lambda: runtime.statistics()[0].failed_swaps == 1)
            assert serves(runtime, "1")()
            await answers_as(runtime, stored, 1)

    asyncio.run(scenario())


def test_a_state_that_cannot_be_read_leaves_the_old_one_serving(
    stored: Stored, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        stored.put(1)
        async with following(stored) as runtime:
            stored.damage_state()
            await until(lambda: "a bundle does not load, version 1 goes on serving" in caplog.text)
            await answers_as(runtime, stored, 1)

    asyncio.run(scenario())


def test_what_did_not_load_is_tried_again_after_a_while(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_runtime.serving.model_host.FIRST_PAUSE_S", 0.01)
    tried: list[int] = []

    def fails_twice(running: RunningModel) -> LoadedVersion:
        tried.append(len(tried))
        if len(tried) <= 2:
            raise MemoryError("no memory now")
        return load_version(running)

    monkeypatch.setattr(LOAD, fails_twice)

    async def scenario() -> None:
        stored.put(1)
        async with following(stored) as runtime:
            await until(serves(runtime, "1"))
            assert runtime.statistics()[0].failed_swaps == 2
            await answers_as(runtime, stored, 1)

    asyncio.run(scenario())
    assert len(tried) == 3


def test_a_mistake_while_loading_does_not_end_the_following(
    stored: Stored, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:

    def fails_for_two(running: RunningModel) -> LoadedVersion:
        if running.bundle.manifest.version == "2":
            raise KeyError("a mistake of our own")
        return load_version(running)

    monkeypatch.setattr(LOAD, fails_for_two)

    async def scenario() -> None:
        stored.put(1)
        async with following(stored) as runtime:
            stored.put(2)
            await until(lambda: "a mistake of our own" in caplog.text)
            await answers_as(runtime, stored, 1)
            stored.put(3)
            await until(serves(runtime, "3"))

    asyncio.run(scenario())


def test_no_request_fails_while_versions_come_and_go(stored: Stored) -> None:
    async def scenario() -> None:
        seeds, answered = range(1, 6), list[np.ndarray]()
        ends = asyncio.Event()
        stored.put(1)

        async def ask(runtime: Runtime) -> None:
            while not ends.is_set():
                answered.append((await runtime.answer(MODEL, {"x": some_rows()}))["y"])

        async with following(stored) as runtime, asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(ask(runtime))
            for seed in seeds[1:]:
                stored.put(seed)
                await until(serves(runtime, str(seed)))
                await until(more_than(answered, len(answered) + 20))
            ends.set()
        (counted,) = runtime.statistics()
        assert counted.swaps == 4
        assert {outcome for outcome, count in counted.requests.items() if count} == {"ok"}
        right = {seed: stored.right(seed, some_rows()) for seed in seeds}
        found = [[seed for seed in seeds if np.allclose(answer, right[seed], atol=1e-3)] for answer in answered]
        assert all(len(each) == 1 for each in found)
        assert found == sorted(found) and {seed for (seed,) in found} == set(seeds)

    asyncio.run(scenario())

"""Shadows of a device's store beside real models: followed, compared, promoted, refused for memory, and ended."""

import asyncio
import threading
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.serving import Runtime, ServingSettings, ShadowStatistics
from edge_runtime.serving.model_sources import StoreSource
from tests.edge_runtime.install.carried import LAYERS, MODEL, small_model
from tests.edge_runtime.serving.shadows.besides import until
from tests.edge_runtime.serving.stored import Stored, some_rows

OFTEN = ServingSettings(poll_s=0.01)


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    return Stored(tmp_path)


def shadow_of(runtime: Runtime) -> ShadowStatistics | None:
    return runtime.statistics()[0].shadow


async def answers_as(runtime: Runtime, stored: Stored, seed: int) -> None:
    answer = await runtime.answer(MODEL, {"x": some_rows()})
    np.testing.assert_allclose(answer["y"], stored.right(seed, some_rows()), rtol=1e-3, atol=1e-3)


async def compared(runtime: Runtime, stored: Stored, seed: int) -> ShadowStatistics:
    """Ask until the shadow has compared a request; every answer is that of the seed."""
    while (found := shadow_of(runtime)) is None or not found.requests:
        await answers_as(runtime, stored, seed)
        await asyncio.sleep(0.002)
    return found


def test_a_shadow_that_is_chosen_is_compared_and_its_answers_go_nowhere(stored: Stored) -> None:
    async def scenario() -> None:
        stored.put(1)
        async with Runtime([StoreSource(stored.store, MODEL)], OFTEN) as runtime:
            assert shadow_of(runtime) is None
            second = stored.shadow(2)
            found = await compared(runtime, stored, 1)
            assert (found.release, found.digest, found.failed) == ("2", second.digest, 0)
            one, other = (stored.right(seed, some_rows()) for seed in (1, 2))
            agreeing = int((one.argmax(1) == other.argmax(1)).sum())
            assert found.rows == 2 * found.requests and found.agreeing_rows == agreeing * found.requests
            assert found.largest_gap == pytest.approx(float(np.abs(one - other).max()), rel=1e-3)
            stored.end_shadow()
            await until(lambda: shadow_of(runtime) is None)
            await until(lambda: not any("shadow" in thread.name for thread in threading.enumerate()))
            await answers_as(runtime, stored, 1)

    asyncio.run(scenario())


def test_a_shadow_with_the_same_weights_agrees_in_every_row(stored: Stored) -> None:
    async def scenario() -> None:
        stored.put(1)
        stored.shadow(2, files=small_model(stored.folder / "same", 1, list(LAYERS)))
        async with Runtime([StoreSource(stored.store, MODEL)], OFTEN) as runtime:
            found = await compared(runtime, stored, 1)
            assert found.agreeing_rows == found.rows > 0 and found.largest_gap < 1e-3

    asyncio.run(scenario())


def test_what_was_a_shadow_serves_once_it_is_installed_and_is_compared_no_more(stored: Stored) -> None:
    async def scenario() -> None:
        stored.put(1)
        second = stored.shadow(2)
        async with Runtime([StoreSource(stored.store, MODEL)], OFTEN) as runtime:
            await compared(runtime, stored, 1)
            stored.commit(second)
            await until(lambda: runtime.description(MODEL).version == "2" and shadow_of(runtime) is None)
            await answers_as(runtime, stored, 2)
            await until(lambda: not any("shadow" in thread.name for thread in threading.enumerate()))

    asyncio.run(scenario())


def test_beside_a_new_version_the_shadow_is_loaded_and_counted_anew(stored: Stored) -> None:
    async def scenario() -> None:
        stored.put(1)
        second = stored.shadow(2)
        async with Runtime([StoreSource(stored.store, MODEL)], OFTEN) as runtime:
            await compared(runtime, stored, 1)
            stored.put(3)
            await until(lambda: runtime.description(MODEL).version == "3")
            found = await compared(runtime, stored, 3)
            one, other = (stored.right(seed, some_rows()) for seed in (3, 2))
            assert found.digest == second.digest
            assert found.largest_gap == pytest.approx(float(np.abs(one - other).max()), rel=1e-3)
            (counted,) = runtime.statistics()
            assert (counted.swaps, counted.failed_swaps) == (1, 0)
            assert {outcome for outcome, count in counted.requests.items() if count} == {"ok"}

    asyncio.run(scenario())


@pytest.mark.parametrize("budget", [{"memory_mb": 99.0}, {}], ids=["of the command", "of the device"])
def test_where_memory_does_not_suffice_there_is_no_shadow_and_a_line_says_so(
    stored: Stored, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, budget: dict[str, float]
) -> None:
    if not budget:
        monkeypatch.setattr("edge_runtime.serving.shadows.model_shadow.free_bytes", lambda: 99 << 20)

    async def scenario() -> None:
        stored.put(1)
        stored.shadow(2, **budget)
        async with Runtime([StoreSource(stored.store, MODEL)], OFTEN) as runtime:
            await until(lambda: "does not load" in caplog.text)
            await answers_as(runtime, stored, 1)
            assert shadow_of(runtime) is None
            (counted,) = runtime.statistics()
            assert (counted.swaps, counted.failed_swaps) == (0, 0)

    asyncio.run(scenario())
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    said = "99 MiB are allowed" if budget else "99 MiB are free"
    assert "camera version 2 needs about 100 MiB as a shadow" in line and said in line


def test_a_shadow_that_answers_wrongly_here_is_not_loaded_and_is_tried_again_later(
    stored: Stored, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("edge_runtime.serving.shadows.model_shadow.FIRST_PAUSE_S", 0.01)

    async def scenario() -> None:
        stored.put(1)
        stored.shadow(2, answers=np.zeros((8, 8), np.float32))
        async with Runtime([StoreSource(stored.store, MODEL)], OFTEN) as runtime:
            await until(lambda: caplog.text.count("camera version 2 answers wrongly here") >= 2)
            await answers_as(runtime, stored, 1)
            stored.shadow(4)
            await compared(runtime, stored, 1)

    asyncio.run(scenario())

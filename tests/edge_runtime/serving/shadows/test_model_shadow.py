"""A shadow beside a model in memory: what it is asked, and that it is in nobody's way, whatever it does."""

import asyncio
import logging
import os
import threading

import numpy as np
import pytest

from tests.edge_runtime.serving.gated_model import Arrays, GatedModel, doubled, rows, version_of
from tests.edge_runtime.serving.shadows.besides import beside, negated, until, wanted_shadow


def test_every_answer_is_that_of_the_version_that_serves_and_the_gap_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with beside(monkeypatch, GatedModel(negated)) as site:
            for number in range(1, 11):
                np.testing.assert_array_equal(await site.answer(3), rows(3) * 2)
                await site.counted(number)
            found = site.found
            assert (found.requests, found.failed, found.skipped) == (10, 0, 0)
            assert (found.rows, found.agreeing_rows) == (30, 0)
            assert found.largest_gap == float(rows(3).max()) * 4
            assert found.compute_s.count == 10
            assert (found.release, found.digest) == ("", "2" * 64)

    asyncio.run(scenario())


def test_a_shadow_that_answers_the_same_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with beside(monkeypatch, GatedModel(doubled)) as site:
            await site.answer(4)
            await site.counted(1)
            assert (site.found.rows, site.found.agreeing_rows, site.found.largest_gap) == (4, 4, 0.0)

    asyncio.run(scenario())


def test_the_share_is_kept_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        shadow = GatedModel()
        async with beside(monkeypatch, shadow, share=0.25) as site:
            for _ in range(39):
                await site.answer()
            await site.counted(9)
            await site.answer()
            await site.counted(10)
            assert site.found.requests + site.found.skipped == 10
            assert len(shadow.calls) == site.found.requests >= 1

    asyncio.run(scenario())


def test_a_shadow_that_fails_again_and_again_is_dropped_with_one_line_and_stays_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(_: Arrays) -> list[np.ndarray]:
        raise ValueError("a broken graph")

    async def scenario() -> None:
        async with beside(monkeypatch, GatedModel(fails)) as site:
            with caplog.at_level(logging.INFO):
                for number in range(1, 6):
                    np.testing.assert_array_equal(await site.answer(), rows(1) * 2)
                    await site.counted(number)
                await until(lambda: len(site.freed) == 1)
                np.testing.assert_array_equal(await site.answer(), rows(1) * 2)
            await site.shadow.look()
            found = site.found
            assert (found.failed, found.requests, found.rows, found.compute_s.count) == (5, 0, 0, 0)
            assert [line.getMessage() for line in caplog.records] == [
                f"gated: the shadow {'2' * 12} is dropped: it failed 5 times in a row: a broken graph"
            ]
            assert site.site.queue.statistics().requests["ok"] == 6

    asyncio.run(scenario())


def test_a_failure_now_and_then_drops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    fails = [True] * 4 + [False] + [True] * 4 + [False]

    def now_and_then(arrays: Arrays) -> list[np.ndarray]:
        if fails.pop(0):
            raise MemoryError
        return doubled(arrays)

    async def scenario() -> None:
        async with beside(monkeypatch, GatedModel(now_and_then)) as site:
            for number in range(1, 11):
                await site.answer()
                await site.counted(number)
            assert (site.found.requests, site.found.skipped) == (2, 0)
            assert (site.found.failed, site.freed) == (8, [])

    asyncio.run(scenario())


def test_a_shadow_that_hangs_delays_nobody_and_one_request_alone_waits_for_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("edge_runtime.serving.shadows.model_shadow.LEAVES_S", 0.01)

    async def scenario() -> None:
        shadow = GatedModel()
        shadow.hold()
        async with beside(monkeypatch, shadow) as site:
            await site.answer()
            await shadow.entered()
            for _ in range(9):
                np.testing.assert_array_equal(await site.answer(), rows(1) * 2)
            assert (site.found.requests, site.found.skipped, len(shadow.calls)) == (0, 9, 1)
            async with site.shadow.away():
                assert site.freed == []
            assert "its shadow does not end in time" in caplog.text
            await site.answer()
            assert site.found.skipped == 9, "it is asked no more"
            shadow.let_go()
            await until(lambda: len(site.freed) == 1)

    asyncio.run(scenario())


def test_it_begins_only_while_what_serves_is_idle_and_at_the_lowest_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    order, idle, nice = list[str](), list[bool](), list[int]()

    def serves(arrays: Arrays) -> list[np.ndarray]:
        order.append("served")
        return doubled(arrays)

    async def scenario() -> None:
        def looks(arrays: Arrays) -> list[np.ndarray]:
            order.append("shadow")
            idle.append(site.site.queue.idle.is_set())
            nice.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
            return doubled(arrays)

        serving = GatedModel(serves)
        serving.hold()
        async with beside(monkeypatch, GatedModel(looks), serving=serving) as site:
            before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
            first = site.site.ask(rows(1))
            await serving.entered()
            second = site.site.ask(rows(1))
            await asyncio.sleep(0)
            serving.let_one()
            await first  # its mirror waits now, as the second is at work
            await serving.entered()
            assert not site.site.queue.idle.is_set() and order == ["served"]
            serving.let_go()
            await second
            await until(lambda: site.found.requests == 1)
            assert order == ["served", "served", "shadow"]
            assert (idle, nice) == ([True], [19])
            assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before

    asyncio.run(scenario())


def test_who_asked_may_write_into_request_and_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        shadow, x = GatedModel(), rows(2)
        shadow.hold()
        async with beside(monkeypatch, shadow) as site:
            answer = (await site.site.ask(x))["y"]
            x[:] = answer[:] = -7
            shadow.let_go()
            await site.counted(1)
            assert (site.found.rows, site.found.agreeing_rows, site.found.largest_gap) == (2, 2, 0.0)

    asyncio.run(scenario())


def test_of_a_large_request_the_first_rows_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_runtime.serving.shadows.shadow_thread.MOST_BYTES", 4 * rows(1).nbytes * 2)

    async def scenario() -> None:
        shadow = GatedModel()
        async with beside(monkeypatch, shadow) as site:
            assert len(await site.answer(32)) == 32
            await site.counted(1)
            assert (shadow.calls, site.found.rows, site.found.agreeing_rows) == ([(4, 2)], 4, 4)

    asyncio.run(scenario())


def test_after_a_call_it_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        shadow = GatedModel()
        async with beside(monkeypatch, shadow, share=0.5) as site:
            assert site.shadow._beside is not None
            site.shadow._beside.share._clock = lambda: 0.0
            site.shadow._beside.share._rests_until = 0.0
            for _ in range(2):
                await site.answer()
            await site.counted(1)
            for _ in range(2):
                await site.answer()
            assert (site.found.requests, site.found.skipped) == (1, 1)

    asyncio.run(scenario())


def test_beside_another_version_the_counting_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with beside(monkeypatch, GatedModel()) as site:
            await site.answer()
            await site.counted(1)
            await site.shadow.look()
            assert site.found.requests == 1
            async with site.shadow.away():
                assert len(site.freed) == 1
                site.site.queue.serve(version_of(GatedModel(negated), name="3"))
            await site.shadow.look()
            assert (site.found.requests, site.found.skipped) == (0, 0)
            np.testing.assert_array_equal(await site.answer(), rows(1) * -2)
            await site.counted(1)
            assert (site.found.rows, site.found.agreeing_rows) == (1, 0)

    asyncio.run(scenario())


def test_a_shadow_that_was_away_goes_on_counting_beside_the_same_version(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with beside(monkeypatch, GatedModel()) as site:
            await site.answer()
            await site.counted(1)
            async with site.shadow.away():
                await site.answer()
            await site.shadow.look()
            await site.answer()
            await site.counted(2)
            assert site.found.requests == 2

    asyncio.run(scenario())


def test_a_thread_that_fails_drops_the_shadow(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(*_: int) -> None:
        raise PermissionError("no priority")

    monkeypatch.setattr("edge_runtime.serving.shadows.shadow_thread.os.setpriority", refused)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)

    async def scenario() -> None:
        shadow = GatedModel()
        async with beside(monkeypatch, shadow) as site:
            await until(lambda: "its thread has failed" in caplog.text)
            await site.answer()
            assert shadow.calls == [] and len(site.freed) == 1
            await site.shadow.put(wanted_shadow(since="again"))

    asyncio.run(scenario())

"""Failures in the queue: what is shed, late, given up or broken harms nobody else, and nothing is left behind."""

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable

import numpy as np
import pytest

from edge_runtime.errors import AnswerFailed, BadRequest, DeadlineExceeded, ModelNotServed, Overloaded
from edge_runtime.serving import ServingSettings
from edge_runtime.serving.model_queue import ModelQueue
from edge_runtime.serving.pending_requests import Batch
from tests.edge_runtime.processes import wait_until
from tests.edge_runtime.serving.gated_model import (
    LONGEST_S,
    Arrays,
    GatedModel,
    at_work,
    doubled,
    rows,
    served,
    version_of,
)

Ask = Callable[[np.ndarray], "asyncio.Task[dict[str, np.ndarray]]"]


def refusing_negative(arrays: Arrays) -> list[np.ndarray]:
    if (arrays["x"] < 0).any():
        raise RuntimeError("a value below 0")
    return doubled(arrays)


def always(error: BaseException) -> Callable[[Arrays], list[np.ndarray]]:
    def fail(_: Arrays) -> list[np.ndarray]:
        raise error

    return fail


def test_a_bad_request_never_reaches_the_session() -> None:
    async def scenario() -> None:
        async with at_work() as (model, site, good):
            for arrays in ({"x": np.zeros(2, np.float32)}, {"x": np.zeros((1, 2))}, {"z": rows(1)}, {}):
                with pytest.raises(BadRequest, match="input x"):
                    await site.queue.answer(arrays, None, None)
            model.let_go()
            await good
            assert model.calls == [(1, 2)]
            assert site.queue.statistics().requests["bad_request"] == 4

    asyncio.run(scenario())


@pytest.mark.parametrize("deadline_s", [0, -1.0, float("nan"), "1", True])
def test_a_deadline_that_makes_no_sense_is_a_bad_request(deadline_s: float) -> None:
    async def scenario() -> None:
        async with served(GatedModel()) as site:
            with pytest.raises(BadRequest, match="deadline_s"):
                await site.queue.answer({"x": rows(1)}, deadline_s, None)

    asyncio.run(scenario())


def test_the_request_that_the_session_refuses_fails_alone() -> None:
    async def scenario() -> None:
        model = GatedModel(refusing_negative)
        model.hold()
        async with served(model) as site:
            first = site.ask(rows(1))
            await model.entered()
            tasks = await site.asked(rows(1), -rows(2), rows(3))
            model.let_go()
            await first
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            assert [type(answer) for answer in answers] == [dict, AnswerFailed, dict]
            assert "a value below 0" in str(answers[1])
            assert model.calls == [(1, 2), (6, 2), (1, 2), (2, 2), (3, 2)]
            assert site.queue.statistics().requests["failed"] == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("error", [RuntimeError("broken"), MemoryError(), SystemExit(3)], ids=repr)
def test_a_session_that_always_raises_fails_each_request_and_the_queue_goes_on(error: BaseException) -> None:
    async def scenario() -> None:
        model = GatedModel(always(error))
        async with served(model) as site:
            for _ in range(3):
                with pytest.raises(AnswerFailed, match=str(error) or type(error).__name__):
                    await site.queue.answer({"x": rows(1)}, None, None)
            assert len(model.calls) == 3 and site.queue.version is not None

    asyncio.run(scenario())


def test_a_full_queue_sheds_at_once() -> None:
    async def scenario() -> None:
        async with at_work(most_waiting=2) as (model, site, running):
            waiting = await site.asked(rows(1), rows(1))
            with pytest.raises(Overloaded, match="2 requests wait") as raised:
                await site.queue.answer({"x": rows(1)}, None, None)
            assert raised.value.retry_after_s >= 1.0
            assert site.queue.statistics().queued == 2
            model.let_go()
            await asyncio.gather(running, *waiting)
            assert site.queue.statistics().requests["shed"] == 1
            await site.queue.answer({"x": rows(1)}, None, None)

    asyncio.run(scenario())


def test_large_requests_fill_the_queue_by_their_bytes() -> None:
    async def scenario() -> None:
        model = GatedModel()
        model.hold()
        async with served(model, most_waiting_mb=0.001) as site:
            large = np.zeros((1, 1000), np.float32)
            running = site.ask(large)
            await model.entered()
            waiting = await site.asked(large)
            with pytest.raises(Overloaded, match="4000 bytes wait"):
                await site.queue.answer({"x": large}, None, None)
            model.let_go()
            await asyncio.gather(running, *waiting)

    asyncio.run(scenario())


def test_a_request_that_would_be_late_is_shed_at_once_and_an_idle_session_takes_any() -> None:
    async def scenario() -> None:
        model = GatedModel()
        async with served(model, most_rows=1) as site:
            version = site.queue.version
            assert version is not None
            version.pace.seen(1.0, 50.0)  # 50 s a row
            model.hold()
            running = site.ask(rows(1), deadline_s=40.0)
            await model.entered()
            with pytest.raises(Overloaded, match="about 110 s") as raised:
                await site.queue.answer({"x": rows(1)}, 100.0, None)
            assert raised.value.retry_after_s == pytest.approx(110.0)
            patient = site.ask(rows(1), deadline_s=120.0)
            await asyncio.sleep(0)
            model.let_go()
            await asyncio.gather(running, patient)

    asyncio.run(scenario())


def test_a_deadline_that_passes_while_a_request_waits_keeps_it_from_the_session() -> None:
    async def scenario() -> None:
        async with at_work() as (model, site, running):
            with pytest.raises(DeadlineExceeded, match="within"):
                await site.queue.answer({"x": rows(5)}, 0.01, None)
            assert site.queue.statistics().queued == 0
            model.let_go()
            await running
            assert model.calls == [(1, 2)]
            assert site.queue.statistics().requests["deadline"] == 1

    asyncio.run(scenario())


def test_a_deadline_that_passes_while_a_batch_runs_is_told_and_the_others_are_answered() -> None:
    async def scenario() -> None:
        async with at_work() as (model, site, first):
            late, good = site.ask(rows(1), deadline_s=0.2), site.ask(rows(2))
            await asyncio.sleep(0)
            model.let_one()
            await first
            await model.entered()
            with pytest.raises(DeadlineExceeded):
                await late
            model.let_go()
            np.testing.assert_array_equal((await good)["y"], rows(2) * 2)

    asyncio.run(scenario())


def test_who_gives_up_while_waiting_leaves_nothing_behind() -> None:
    async def scenario() -> None:
        async with at_work(most_waiting=3) as (model, site, running):
            for _ in range(10):
                tasks = await site.asked(rows(1), rows(1), rows(1))
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                assert site.queue.statistics().queued == 0
            model.let_go()
            await running
            assert model.calls == [(1, 2)]
            assert site.queue.statistics().requests["cancelled"] == 30

    asyncio.run(scenario())


def test_who_gives_up_while_a_batch_runs_harms_nobody() -> None:
    async def scenario() -> None:
        async with at_work() as (model, site, given_up):
            given_up.cancel()
            with pytest.raises(asyncio.CancelledError):
                await given_up
            waiting = site.ask(rows(2))
            await asyncio.sleep(0)
            model.let_go()
            assert len((await waiting)["y"]) == 2

    asyncio.run(scenario())


def test_a_batch_that_fails_is_not_answered_to_those_who_gave_up() -> None:
    async def scenario() -> None:
        model = GatedModel(refusing_negative)
        model.hold()
        async with served(model) as site:
            first = site.ask(rows(1))
            await model.entered()
            bad, given_up, good = await site.asked(-rows(1), rows(2), rows(3))
            model.let_go()
            await first
            given_up.cancel()
            assert isinstance((await asyncio.gather(bad, return_exceptions=True))[0], AnswerFailed)
            assert len((await good)["y"]) == 3
            assert (3, 2) in model.calls

    asyncio.run(scenario())


def test_a_failed_request_leaves_no_circle_that_keeps_its_arrays() -> None:
    async def fails(ask: Ask) -> "weakref.ref[np.ndarray]":
        x = -rows(1)
        alive = weakref.ref(x)
        task = ask(x)
        del x
        (error,) = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(error, AnswerFailed)
        return alive

    async def scenario() -> None:
        async with served(GatedModel(refusing_negative)) as site:
            gc.collect()
            gc.disable()
            try:
                alive = await fails(site.ask)
                # The thread lets go of its batch a moment after the answer was given; a circle would stay.
                await asyncio.to_thread(wait_until, lambda: alive() is None)
            finally:
                gc.enable()

    asyncio.run(scenario())


def test_a_queue_that_closes_answers_what_waits() -> None:
    async def scenario() -> None:
        async with at_work() as (model, site, first):
            waiting = await site.asked(rows(1), rows(2))
            closing = asyncio.create_task(site.queue.close())
            await asyncio.sleep(0)
            with pytest.raises(ModelNotServed, match="not served"):
                await site.queue.answer({"x": rows(1)}, None, None)
            model.let_go()
            await closing
            assert [len(task.result()["y"]) for task in (first, *waiting)] == [1, 1, 2]
            await asyncio.to_thread(site.queue.thread.join, LONGEST_S)
            assert len(site.retired) == 1

    asyncio.run(scenario())


def test_a_queue_that_may_not_wait_fails_what_is_left() -> None:
    async def scenario() -> None:
        async with at_work(drain_s=0.0) as (_, site, running):
            waiting = await site.asked(rows(1))
            await site.queue.close()
            for task in (running, *waiting):
                with pytest.raises(ModelNotServed, match="the process ends"):
                    await task

    asyncio.run(scenario())


def test_a_close_that_is_given_up_ends_the_thread_all_the_same() -> None:
    async def scenario() -> None:
        async with at_work() as (model, site, running):
            closing = asyncio.create_task(site.queue.close())
            await asyncio.sleep(0)
            closing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await closing
            with pytest.raises(ModelNotServed):
                await running
            model.let_go()
            await site.queue.ended.wait()

    asyncio.run(scenario())


def test_an_event_loop_that_is_closed_with_requests_in_flight_leaves_no_thread() -> None:
    model = GatedModel()
    model.hold()
    kept: list[ModelQueue] = []

    async def scenario() -> None:
        queue = ModelQueue("gated", ServingSettings(), lambda version: version.close())
        queue.serve(version_of(model))
        kept.append(queue)
        tasks = [asyncio.create_task(queue.answer({"x": rows(1)}, None, None)) for _ in range(3)]
        await model.entered()
        for task in tasks:
            task.cancel()

    asyncio.run(scenario())
    assert kept[0].thread.is_alive()
    model.let_go()
    kept[0].thread.join(LONGEST_S)
    assert not kept[0].thread.is_alive()


def test_a_thread_that_dies_fails_what_waits_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def dies(_: Batch) -> None:
        raise RuntimeError("a mistake of our own")

    async def scenario() -> None:
        model = GatedModel()
        async with served(model) as site:
            monkeypatch.setattr(Batch, "run", dies)
            tasks = await site.asked(rows(1), rows(1))
            for answer in await asyncio.gather(*tasks, return_exceptions=True):
                assert isinstance(answer, ModelNotServed)
            await site.queue.ended.wait()
            assert site.queue.version is None
            with pytest.raises(ModelNotServed):
                await site.queue.answer({"x": rows(1)}, None, None)
            assert len(model.calls) == 0
        assert "a mistake of our own" in caplog.text

    asyncio.run(scenario())


def test_a_version_answers_what_it_took_on_and_is_freed_after_that() -> None:
    async def scenario() -> None:
        old, new = GatedModel(), GatedModel(lambda arrays: [arrays["x"] * 3])
        old.hold()
        async with served(old, most_waiting=4) as site:
            running = site.ask(rows(1))
            await old.entered()
            waiting = await site.asked(rows(1), rows(1), rows(1), rows(1))
            with pytest.raises(Overloaded):  # it is a full queue
                await site.queue.answer({"x": rows(1)}, None, None)
            site.queue.serve(version_of(new, name="2"))
            waiting.pop().cancel()
            await asyncio.sleep(0)
            after = await site.asked(rows(1))
            assert site.retired == []
            old.let_go()
            for task in (running, *waiting):
                np.testing.assert_array_equal((await task)["y"], rows(1) * 2)
            np.testing.assert_array_equal((await after[0])["y"], rows(1) * 3)
            assert (old.calls, new.calls) == ([(1, 2), (3, 2)], [(1, 2)])
            assert [version.description.version for version in site.retired] == ["1"]
            assert site.queue.statistics().swaps == 1

    asyncio.run(scenario())


def test_a_version_that_nobody_uses_is_freed_at_once() -> None:
    async def scenario() -> None:
        async with served(GatedModel()) as site:
            await site.queue.answer({"x": rows(1)}, None, None)
            await asyncio.sleep(0)
            site.queue.serve(version_of(GatedModel(), name="2"))
            assert [version.description.version for version in site.retired] == ["1"]

    asyncio.run(scenario())


def test_no_thread_is_left() -> None:
    before = threading.active_count()

    async def scenario() -> None:
        async with served(GatedModel()) as site:
            await site.queue.answer({"x": rows(1)}, None, None)

    asyncio.run(scenario())
    wait_until(lambda: threading.active_count() <= before)

"""The queue of a model: which requests run together, in which order, and what each gets."""

import asyncio

import numpy as np
import pytest

from edge_runtime.errors import BadRequest
from edge_runtime.serving.pending_requests import PendingRequest, next_batch
from tests.edge_runtime.serving.gated_model import Arrays, GatedModel, at_work, rows, served, version_of


def test_a_lone_request_is_answered_at_once() -> None:
    async def scenario() -> None:
        model = GatedModel()
        async with served(model) as site:
            answer = await site.queue.answer({"x": rows(3)}, None, None)
            assert list(answer) == ["y"]
            np.testing.assert_array_equal(answer["y"], rows(3) * 2)
            assert model.calls == [(3, 2)]

    asyncio.run(scenario())


def test_what_waits_when_the_session_is_free_runs_together_and_each_gets_its_own() -> None:
    async def scenario() -> None:
        async with at_work() as (model, site, first):
            given = [rows(count, start=10.0 * count) for count in (2, 1, 3)]
            tasks = await site.asked(*given)
            model.let_go()
            answers = await asyncio.gather(first, *tasks)
            for x, answer in zip([rows(1), *given], answers, strict=True):
                np.testing.assert_array_equal(answer["y"], x * 2)
            assert model.calls == [(1, 2), (6, 2)]
            counted = site.queue.statistics()
            assert (counted.requests["ok"], counted.rows, counted.batches, counted.queued) == (4, 7, 2, 0)
            assert counted.batch_rows.sum == 7 and counted.queue_s.count == 4 and counted.compute_s.count == 2

    asyncio.run(scenario())


def test_an_answer_keeps_nothing_of_its_batch_in_memory() -> None:
    async def scenario() -> None:
        async with at_work() as (model, site, first):
            tasks = await site.asked(rows(1), rows(4))
            model.let_go()
            await first
            for task in tasks:
                assert (await task)["y"].base is None
            assert model.calls == [(1, 2), (5, 2)]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((3, 3, 1), [3, 4]),
        ((2, 2, 2), [4, 2]),
        ((9, 1, 1), [9, 2]),
        ((1, 9, 1), [1, 9, 1]),
        ((4, 1), [4, 1]),
    ],
    ids=["none overtakes", "full", "larger than a batch", "larger, in the middle", "exactly full"],
)
def test_batches_hold_what_fits_and_nobody_is_overtaken(counts: tuple[int, ...], expected: list[int]) -> None:
    async def scenario() -> None:
        async with at_work(most_rows=4) as (model, site, first):
            tasks = await site.asked(*map(rows, counts))
            model.let_go()
            for count, task in zip(counts, tasks, strict=True):
                np.testing.assert_array_equal((await task)["y"], rows(count) * 2)
            await first
            assert [shape[0] for shape in model.calls[1:]] == expected

    asyncio.run(scenario())


def test_rows_of_different_shapes_never_run_together() -> None:
    async def scenario() -> None:
        async with at_work() as (model, site, first):
            tasks = await site.asked(rows(1, width=2), rows(1, width=3), rows(2, width=2), rows(1, width=3))
            model.let_go()
            answers = await asyncio.gather(first, *tasks)
            assert [answer["y"].shape for answer in answers] == [(1, 2), (1, 2), (1, 3), (2, 2), (1, 3)]
            assert model.calls == [(1, 2), (3, 2), (2, 3)]

    asyncio.run(scenario())


def test_a_model_that_gains_nothing_answers_one_by_one() -> None:
    async def scenario() -> None:
        model = GatedModel()
        model.hold()
        async with served(model, most_rows=1) as site:
            tasks = await site.asked(rows(2), rows(2), rows(1))
            model.let_go()
            await asyncio.gather(*tasks)
            assert model.calls == [(2, 2), (2, 2), (1, 2)]

    asyncio.run(scenario())


def test_no_rows_are_a_request_of_their_own() -> None:
    async def scenario() -> None:
        async with at_work() as (model, site, first):
            tasks = await site.asked(rows(0), rows(1))
            model.let_go()
            assert [len((await task)["y"]) for task in (first, *tasks)] == [1, 0, 1]
            assert model.calls == [(1, 2), (0, 2), (1, 2)]

    asyncio.run(scenario())


def test_the_outputs_that_were_asked_for_are_returned() -> None:
    async def scenario() -> None:
        async with served(GatedModel()) as site:
            assert list(await site.queue.answer({"x": rows(1)}, None, ["y"])) == ["y"]
            assert list(await site.queue.answer({"x": rows(1)}, None, [])) == ["y"]
            with pytest.raises(BadRequest, match=r"outputs \['y'\]: unknown \['z'\]"):
                await site.queue.answer({"x": rows(1)}, None, ["z"])

    asyncio.run(scenario())


def test_answers_that_are_no_numbers_are_answers() -> None:
    def infinite(arrays: Arrays) -> list[np.ndarray]:
        with np.errstate(invalid="ignore"):
            return [arrays["x"] * np.float32("inf")]

    async def scenario() -> None:
        model = GatedModel(infinite)
        async with served(model) as site:
            answer = await site.queue.answer({"x": np.array([[0.0, 1.0]], np.float32)}, None, None)
            assert np.isnan(answer["y"][0, 0]) and np.isinf(answer["y"][0, 1])
            assert site.queue.statistics().requests["ok"] == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("shape", [(), (1, 2)], ids=["a scalar", "one row for all"])
def test_an_output_without_rows_is_answered_alone_from_then_on(
    shape: tuple[int, ...], caplog: pytest.LogCaptureFixture
) -> None:
    def summed(arrays: Arrays) -> list[np.ndarray]:
        return [np.full(shape, arrays["x"].sum(), np.float32)]

    async def scenario() -> None:
        model = GatedModel(summed)
        model.hold()
        async with served(model) as site:
            first = site.ask(rows(1))
            await model.entered()
            tasks = await site.asked(rows(1), rows(2), rows(1))
            model.let_go()
            answers = [(await task)["y"] for task in (first, *tasks)]
            assert [float(answer.max()) for answer in answers] == [3.0, 3.0, 10.0, 3.0]
            assert model.calls == [(1, 2), (4, 2), (1, 2), (2, 2), (1, 2)]
            await asyncio.gather(*await site.asked(rows(1), rows(1)))
            assert model.calls[-2:] == [(1, 2), (1, 2)]
            version = site.queue.version
            assert version is not None and not version.description.batched
            assert site.queue.statistics().requests["ok"] == 6
        assert "one by one from now on" in caplog.text

    asyncio.run(scenario())


def test_the_window_is_an_upper_bound() -> None:
    async def scenario() -> None:
        version = version_of(GatedModel(), most_rows=4)
        first, second = (PendingRequest(version, {"x": rows(2)}, None, 10.0) for _ in range(2))
        now = first.begun
        assert next_batch([], now, 0.02) == ((), None)
        taken, wait_s = next_batch([first], now, 0.02)
        assert taken == () and wait_s == pytest.approx(0.02)
        assert next_batch([first], now + 0.02, 0.02)[0] == (first,)
        assert next_batch([first], now, 0.0)[0] == (first,)
        assert next_batch([first, second], now, 0.02)[0] == (first, second)

    asyncio.run(scenario())


def test_the_window_leaves_half_of_the_time_of_an_urgent_request() -> None:
    async def scenario() -> None:
        urgent = PendingRequest(version_of(GatedModel()), {"x": rows(2)}, None, 0.01)
        assert next_batch([urgent], urgent.begun, 0.02)[1] == pytest.approx(0.005)

    asyncio.run(scenario())


def test_a_model_that_runs_one_by_one_waits_for_no_window() -> None:
    async def scenario() -> None:
        request = PendingRequest(version_of(GatedModel(), most_rows=1), {"x": rows(1)}, None, 10.0)
        assert next_batch([request], request.begun, 0.02)[0] == (request,)

    asyncio.run(scenario())


def test_with_a_window_requests_are_answered() -> None:
    async def scenario() -> None:
        async with served(GatedModel(), window_ms=5.0) as site:
            answers = await asyncio.gather(*await site.asked(rows(1), rows(2)))
            assert [len(answer["y"]) for answer in answers] == [1, 2]

    asyncio.run(scenario())

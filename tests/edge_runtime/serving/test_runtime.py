"""The Python API: a few lines, of either kind, several models, and an end that leaves nothing."""

import asyncio
import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime.bundle import BundleError, manifest_path
from edge_runtime.configuration import BadConfiguration
from edge_runtime.errors import BadRequest, ModelNotServed, ServingError, SessionError
from edge_runtime.install import RunningModel
from edge_runtime.serving import Runtime, ServingSettings
from edge_runtime.serving.loaded_version import LoadedVersion, load_version
from tests.edge_runtime.install.carried import CLASSES, DEVICE, MODEL, carry, expected, rows
from tests.edge_runtime.processes import wait_until
from tests.edge_runtime.serving.gated_model import GatedModel, version_of
from tests.edge_runtime.serving.stored import GAINS, Stored


def bundle_of(folder: Path, seed: int, model: str = MODEL, **changes: Any) -> Path:
    fields: dict[str, Any] = {"measured": GAINS, "model": model, **changes}
    carried = carry(folder / "carried", folder / "made", seed, **fields)
    return manifest_path(carried.root, model, DEVICE, carried.digest)


def right(folder: Path, seed: int, inputs: np.ndarray) -> np.ndarray:
    return expected({"model.onnx": folder / "made" / f"model-{seed}" / "model.onnx"}, inputs)


def close_to(answer: np.ndarray, wanted: np.ndarray) -> bool:
    return np.allclose(answer, wanted, rtol=1e-3, atol=1e-3)


def test_a_program_asks_in_a_few_lines(tmp_path: Path) -> None:
    with Runtime.of_bundle(bundle_of(tmp_path, 1)) as runtime:
        answers = runtime.predict(MODEL, {"x": rows(3)})
    assert close_to(answers["y"], right(tmp_path, 1, rows(3)))


def test_a_coroutine_asks_in_a_few_lines(tmp_path: Path) -> None:
    async def program() -> dict[str, np.ndarray]:
        async with Runtime.of_bundle(bundle_of(tmp_path, 1)) as runtime:
            return await runtime.answer(MODEL, {"x": rows(3)}, outputs=["y"])

    assert close_to(asyncio.run(program())["y"], right(tmp_path, 1, rows(3)))


def test_the_models_of_a_device_are_served_and_one_that_is_missing_stops_no_other(tmp_path: Path) -> None:
    stored = Stored(tmp_path)
    stored.put(1)
    keys = {"device": DEVICE, "url": "/media/usb", "state": stored.store.root, "root": tmp_path / "root.json"}
    lines = [f'models = ["{MODEL}", "other"]', *(f'{key} = "{value}"' for key, value in keys.items())]
    (tmp_path / "device.toml").write_text("\n".join(lines))
    with Runtime.of_device(tmp_path / "device.toml") as runtime:
        assert runtime.names() == [MODEL, "other"]
        assert [runtime.is_ready(name) for name in (*runtime.names(), "third")] == [True, False, False]
        assert close_to(runtime.predict(MODEL, {"x": rows(2)})["y"], right(tmp_path, 1, rows(2)))
        with pytest.raises(ModelNotServed, match="other is not served yet: nothing is installed"):
            runtime.predict("other", {"x": rows(2)})
        with pytest.raises(ModelNotServed, match="No model is served"):
            runtime.predict("third", {"x": rows(2)})
        assert [each.model for each in runtime.statistics()] == [MODEL, "other"]


def test_without_waiting_a_device_is_served_before_its_models_are_there(tmp_path: Path) -> None:
    stored = Stored(tmp_path)
    stored.put(1)
    keys = {"device": DEVICE, "url": "/media/usb", "state": stored.store.root, "root": tmp_path / "root.json"}
    lines = [f'models = ["{MODEL}"]', *(f'{key} = "{value}"' for key, value in keys.items())]
    (tmp_path / "device.toml").write_text("\n".join(lines))

    async def program() -> None:
        async with Runtime.of_device(tmp_path / "device.toml", wait=False) as runtime:
            assert not runtime.is_ready(MODEL)
            with pytest.raises(ModelNotServed, match="it is being loaded"):
                await runtime.answer(MODEL, {"x": rows(1)})
            while not runtime.is_ready(MODEL):
                await asyncio.sleep(0.005)
            await runtime.answer(MODEL, {"x": rows(1)})

    asyncio.run(program())


def test_a_device_without_a_configuration_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration):
        Runtime.of_device(tmp_path / "device.toml")


def test_several_models_answer_beside_each_other(tmp_path: Path) -> None:
    paths = [bundle_of(tmp_path, 1, "one"), bundle_of(tmp_path, 2, "two")]
    with Runtime.of_bundle(*paths) as runtime, ThreadPoolExecutor(8) as pool:

        def ask(number: int) -> bool:
            name, seed = (("one", 1), ("two", 2))[number % 2]
            given = rows(1 + number % 3, seed=number)
            return close_to(runtime.predict(name, {"x": given})["y"], right(tmp_path, seed, given))

        assert all(pool.map(ask, range(60)))
        assert [each.requests["ok"] for each in runtime.statistics()] == [30, 30]


def test_two_bundles_of_one_model_are_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ServingError, match="Every model needs one bundle"):
        Runtime.of_bundle(bundle_of(tmp_path, 1), bundle_of(tmp_path, 2))


def test_what_is_no_bundle_is_told(tmp_path: Path) -> None:
    with pytest.raises(BundleError):
        Runtime.of_bundle(tmp_path / "nothing.manifest.json")


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_bundle_that_does_not_load_ends_the_block_and_leaves_no_thread(tmp_path: Path, kind: str) -> None:
    path = bundle_of(tmp_path, 1, answers=np.zeros((8, CLASSES), np.float32))
    before = threading.active_count()

    async def program() -> None:
        async with Runtime.of_bundle(path):
            raise AssertionError("it was entered")

    with pytest.raises(ModelNotServed, match="answers wrongly here"):
        if kind == "async":
            asyncio.run(program())
        else:
            with Runtime.of_bundle(path):
                raise AssertionError("it was entered")
    wait_until(lambda: threading.active_count() <= before)


def test_a_version_is_replaced_and_freed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = bundle_of(tmp_path, 1), bundle_of(tmp_path, 2)
    models: list[weakref.ref[object]] = []

    def noted(running: RunningModel) -> LoadedVersion:
        version = load_version(running)
        models.append(weakref.ref(version._model))
        return version

    monkeypatch.setattr("edge_runtime.serving.model_host.load_version", noted)
    gc.collect()
    gc.disable()
    try:
        with Runtime.of_bundle(first) as runtime:
            for path, seed in ((second, 2), (first, 1), (second, 2)):
                runtime.replace(path)
                assert close_to(runtime.predict(MODEL, {"x": rows(2)})["y"], right(tmp_path, seed, rows(2)))
                assert [model() is not None for model in models] == [False] * (len(models) - 1) + [True]
            runtime.replace(second)
            assert runtime.statistics()[0].swaps == 3
        assert [model() for model in models] == [None] * 4
    finally:
        gc.enable()


def test_a_bundle_that_does_not_load_replaces_nothing(tmp_path: Path) -> None:
    bad = bundle_of(tmp_path, 2, answers=np.zeros((8, CLASSES), np.float32))
    other = bundle_of(tmp_path, 3, "other")
    with Runtime.of_bundle(bundle_of(tmp_path, 1)) as runtime:
        with pytest.raises(SessionError, match="answers wrongly"):
            runtime.replace(bad)
        with pytest.raises(ModelNotServed, match="other"):
            runtime.replace(other)
        assert runtime.description(MODEL).version == "1"
        assert runtime.statistics()[0].failed_swaps == 1
        assert close_to(runtime.predict(MODEL, {"x": rows(2)})["y"], right(tmp_path, 1, rows(2)))


def test_two_swaps_at_once_end_with_the_later_one(tmp_path: Path) -> None:
    paths = [bundle_of(tmp_path, seed) for seed in (1, 2, 3)]

    async def program() -> None:
        async with Runtime.of_bundle(paths[0]) as runtime:
            asking = [asyncio.create_task(runtime.answer(MODEL, {"x": rows(1)})) for _ in range(20)]
            await asyncio.gather(runtime.swap(paths[1]), runtime.swap(paths[2]))
            assert runtime.description(MODEL).version == "3"
            assert runtime.statistics()[0].swaps == 2
            await asyncio.gather(*asking)

    asyncio.run(program())


def test_a_swap_that_is_given_up_harms_nothing(tmp_path: Path) -> None:
    paths = [bundle_of(tmp_path, seed) for seed in (1, 2)]

    async def program() -> None:
        async with Runtime.of_bundle(paths[0]) as runtime:
            swap = asyncio.create_task(runtime.swap(paths[1]))
            await asyncio.sleep(0)
            swap.cancel()
            with pytest.raises(asyncio.CancelledError):
                await swap
            assert runtime.description(MODEL).version == "1"
            await runtime.swap(paths[1])
            assert runtime.description(MODEL).version == "2"
            await runtime.answer(MODEL, {"x": rows(1)})

    asyncio.run(program())


def test_an_entry_that_is_given_up_leaves_no_thread(tmp_path: Path) -> None:
    path = bundle_of(tmp_path, 1)
    before = threading.active_count()

    async def program() -> None:
        entering = asyncio.create_task(Runtime.of_bundle(path).__aenter__())
        await asyncio.sleep(0)
        entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await entering

    asyncio.run(program())
    wait_until(lambda: threading.active_count() <= before)


def test_who_asks_while_the_runtime_ends_is_answered_or_told(tmp_path: Path) -> None:
    path = bundle_of(tmp_path, 1)
    ended: list[str] = []
    begun = threading.Barrier(5)

    def ask(runtime: Runtime) -> None:
        begun.wait()
        try:
            while True:
                runtime.predict(MODEL, {"x": rows(1)})
        except ModelNotServed:
            ended.append("told")

    runtime = Runtime.of_bundle(path)
    with runtime:
        threads = [threading.Thread(target=ask, args=(runtime,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        begun.wait()
        wait_until(lambda: runtime.statistics()[0].requests["ok"] > 20)
    for thread in threads:
        thread.join(60)
    assert ended == ["told"] * 4
    assert runtime.statistics()[0].requests["failed"] == 0


def test_a_session_that_does_not_end_keeps_no_program_from_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = GatedModel()
    model.hold()
    monkeypatch.setattr("edge_runtime.serving.model_host.load_version", lambda _: version_of(model))
    second = bundle_of(tmp_path, 2)
    with ThreadPoolExecutor(2) as pool:
        with Runtime.of_bundle(bundle_of(tmp_path, 1), settings=ServingSettings(drain_s=0.0)) as runtime:
            asking = pool.submit(runtime.predict, MODEL, {"x": rows(1)})
            wait_until(lambda: model.calls != [])
            swapping = pool.submit(runtime.replace, second)  # it waits for the version before, which never ends
            wait_until(lambda: runtime.statistics()[0].swaps == 1)
        for call in (asking, swapping):
            with pytest.raises(ModelNotServed):
                call.result()
        model.let_go()
    assert "does not end in time" in caplog.text


def test_a_closed_runtime_and_one_that_was_not_opened_say_so(tmp_path: Path) -> None:
    runtime = Runtime.of_bundle(bundle_of(tmp_path, 1))
    with pytest.raises(ServingError, match="Open the runtime"):
        runtime.predict(MODEL, {"x": rows(1)})
    with runtime:
        with pytest.raises(ServingError, match="opened once"):
            runtime.__enter__()
        runtime.predict(MODEL, {"x": rows(1)})
    with pytest.raises(ModelNotServed, match="closed"):
        runtime.predict(MODEL, {"x": rows(1)})
    with pytest.raises(ServingError, match="opened once"), runtime:
        raise AssertionError("it was opened again")


def test_mistakes_reach_the_caller(tmp_path: Path) -> None:
    with Runtime.of_bundle(bundle_of(tmp_path, 1)) as runtime:
        with pytest.raises(BadRequest, match="input x"):
            runtime.predict(MODEL, {"x": np.zeros((1, 3), np.float32)})
        with pytest.raises(BadRequest, match="unknown"):
            runtime.predict(MODEL, {"x": rows(1)}, outputs=["z"])


def test_closed_runtimes_leave_no_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    with Runtime.of_bundle(bundle_of(tmp_path, 1), settings=ServingSettings(poll_s=0.01)) as runtime:
        runtime.predict(MODEL, {"x": rows(1)})
        assert threading.active_count() > before
    wait_until(lambda: threading.active_count() <= before)

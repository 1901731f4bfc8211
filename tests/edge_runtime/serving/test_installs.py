"""Real installs beside a runtime that serves: each new version is followed, and files that it removes harm nobody."""

import asyncio
from pathlib import Path

import numpy as np

from edge_runtime.install import DeviceStore, FolderSource, InstallSettings, Limits, Tuning, install
from edge_runtime.serving import Runtime, ServingSettings
from edge_runtime.serving.model_sources import StoreSource
from tests.edge_runtime.install.carried import DEVICE, MODEL, carry, expected, rows

QUICK = InstallSettings(limits=Limits(time_s=100), tuning=Tuning(tuned_graph=False))


def test_installs_are_followed_while_requests_go_on(tmp_path: Path) -> None:
    store = DeviceStore(tmp_path / "device", DEVICE)

    def put(seed: int) -> None:
        carried = carry(tmp_path / "carried", tmp_path / "made", seed)
        install(store, MODEL, carried.data, FolderSource(carried.root), QUICK)

    async def scenario() -> None:
        put(1)
        ended = asyncio.Event()

        async def ask(runtime: Runtime) -> None:
            while not ended.is_set():
                assert (await runtime.answer(MODEL, {"x": rows(1)}))["y"].shape == (1, 8)
                await asyncio.sleep(0.002)

        async with Runtime([StoreSource(store, MODEL)], ServingSettings(poll_s=0.01)) as runtime:
            asking = asyncio.create_task(ask(runtime))
            for seed in (2, 3):
                await asyncio.to_thread(put, seed)
                while runtime.description(MODEL).version != str(seed):
                    await asyncio.sleep(0.01)
                answer = await runtime.answer(MODEL, {"x": rows(4)})
                right = expected({"model.onnx": tmp_path / "made" / f"model-{seed}" / "model.onnx"}, rows(4))
                np.testing.assert_allclose(answer["y"], right, rtol=1e-3, atol=1e-3)
            ended.set()
            await asking
        (counted,) = runtime.statistics()
        assert (counted.swaps, counted.failed_swaps) == (2, 0)
        assert {outcome for outcome, count in counted.requests.items() if count} == {"ok"}

    asyncio.run(scenario())

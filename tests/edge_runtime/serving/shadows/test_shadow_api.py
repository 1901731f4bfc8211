"""Shadows that a program asks for: of both kinds of blocks, refused where they do not fit, and gone without a trace."""

import asyncio
import threading
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.bundle import TensorSpec, manifest_path
from edge_runtime.errors import InstallError, ModelNotServed, ServingError, SessionError
from edge_runtime.model_files import model_files
from edge_runtime.serving import Runtime, ServingSettings
from tests.edge_runtime.bundle.linear import write
from tests.edge_runtime.install.carried import DEVICE, MODEL, WIDTH, carry, rows
from tests.edge_runtime.made_families import MadeFamily, bundle_at, head
from tests.edge_runtime.models import linear_model, scaled_model
from tests.edge_runtime.processes import wait_until
from tests.edge_runtime.serving.gated_model import LONGEST_S


def bundle_of(root: Path, seed: int) -> Path:
    """Write a bundle of y = seed * x, whose weights are a file of their own, which ONNX Runtime maps."""
    graph = scaled_model(root / f"scaled-{seed}", np.full(WIDTH, seed, np.float32))
    outputs = (TensorSpec("y", "float32", (None, WIDTH)),)
    carried = carry(root / "carried", root / f"made-{seed}", seed, files=model_files(graph), outputs=outputs)
    return manifest_path(carried.root, MODEL, DEVICE, carried.digest)


def mapped(root: Path) -> int:
    return sum(str(root) in line for line in Path("/proc/self/maps").read_text().splitlines())


def ask(runtime: Runtime, seed: int) -> None:
    np.testing.assert_array_equal(runtime.predict(MODEL, {"x": rows(2)})["y"], rows(2) * seed)


def has_compared(runtime: Runtime, seed: int) -> bool:
    """Ask once more, and tell whether anything was compared."""
    ask(runtime, seed)
    shadow = runtime.statistics()[0].shadow
    return shadow is not None and shadow.requests > 0


def test_a_program_compares_a_bundle_and_leaves_nothing_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_runtime.serving.shadows.model_shadow.LEAVES_S", LONGEST_S)
    first, second, third = (bundle_of(tmp_path, seed) for seed in (1, 2, -3))
    settings = ServingSettings(poll_s=0.01)
    with Runtime.of_bundle(first, settings=settings) as runtime:
        ask(runtime, 1)
        threads, descriptors = threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))
        assert mapped(tmp_path) == 1
        for path, agree in ((second, True), (third, False)) * 2:
            runtime.compare(MODEL, path, share=1.0)
            assert mapped(tmp_path) == 2
            wait_until(lambda: has_compared(runtime, 1), LONGEST_S)
            found = runtime.statistics()[0].shadow
            assert found is not None and found.agreeing_rows == (found.rows if agree else 0)
        runtime.compare(MODEL, None)
        assert runtime.statistics()[0].shadow is None
        assert mapped(tmp_path) == 1
        wait_until(lambda: threading.active_count() <= threads, LONGEST_S)  # a thread ends after it has told
        assert len(list(Path("/proc/self/fd").iterdir())) <= descriptors
        ask(runtime, 1)
        runtime.compare(MODEL, second, share=1.0)
        runtime.replace(third)
        wait_until(lambda: has_compared(runtime, -3), LONGEST_S)
    wait_until(lambda: mapped(tmp_path) == 0, LONGEST_S)


def test_in_a_coroutine_it_is_awaited(tmp_path: Path) -> None:
    async def program() -> None:
        async with Runtime.of_bundle(bundle_of(tmp_path, 1)) as runtime:
            await runtime.shadow(MODEL, bundle_of(tmp_path, 2), share=0.5)
            for _ in range(4):
                await runtime.answer(MODEL, {"x": rows(1)})
            found = runtime.statistics()[0].shadow
            assert found is not None and found.digest

    asyncio.run(program())


def test_of_several_heads_those_that_both_have_are_compared(tmp_path: Path) -> None:
    serves = MadeFamily(tmp_path / "one", {"faults": head("faults", 11), "kinds": head("kinds", 12)})
    beside = MadeFamily(tmp_path / "two", {"kinds": head("kinds", 12), "grade": head("grade", 13)})
    first, second = (bundle_at(each.carry(tmp_path / "carried", at)).path for at, each in enumerate((serves, beside)))
    with Runtime.of_bundle(first) as runtime:
        runtime.compare(MODEL, second, share=1.0)

        def ended() -> int:
            found = runtime.statistics()[0].shadow
            assert found is not None and found.failed == 0
            return found.requests + found.skipped

        assert set(runtime.predict(MODEL, {"x": rows(3)})) == {"faults", "kinds"}
        wait_until(lambda: ended() == 1, LONGEST_S)
        runtime.predict(MODEL, {"x": rows(3)}, outputs=["faults"])
        wait_until(lambda: ended() == 2, LONGEST_S)
        found = runtime.statistics()[0].shadow
        assert found is not None and (found.requests, found.skipped) == (1, 1)
        assert found.agreeing_rows == found.rows == 3 and found.largest_gap < 1e-3


def test_a_bundle_that_does_not_fit_is_refused_and_what_serves_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = bundle_of(tmp_path, 1), bundle_of(tmp_path, 2)
    narrow = write(tmp_path / "narrow", linear_model(tmp_path / "linear.onnx"), model=MODEL)
    other = write(tmp_path / "other", linear_model(tmp_path / "linear.onnx"), model="other")
    with Runtime.of_bundle(first) as runtime:
        with pytest.raises(SessionError, match=r"can be no shadow: it takes the input x as float32 in the shape"):
            runtime.compare(MODEL, narrow)
        with pytest.raises(ModelNotServed, match="is one of other, not of camera"):
            runtime.compare(MODEL, other)
        with pytest.raises(ModelNotServed, match="No model is served under the name 'other'"):
            runtime.compare("other", other)
        with pytest.raises(InstallError, match="above 0 and at most 1, not 0"):
            runtime.compare(MODEL, second, share=0)
        with pytest.raises(InstallError, match="needs about 100 MiB as a shadow, and 50 MiB are allowed"):
            runtime.compare(MODEL, second, memory_mb=50.0)
        monkeypatch.setattr("edge_runtime.serving.shadows.model_shadow.free_bytes", lambda: 0)
        with pytest.raises(InstallError, match="and 0 MiB are free"):
            runtime.compare(MODEL, second)
        assert runtime.statistics()[0].shadow is None
        ask(runtime, 1)
    with pytest.raises(ServingError):
        runtime.compare(MODEL, None)

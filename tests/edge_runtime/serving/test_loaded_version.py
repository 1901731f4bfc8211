"""Versions of real bundles: compared with their golden vectors, warm, and batched only where that changes no answer."""

import asyncio
import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import NodeProto, helper

from edge_runtime.bundle import Measured, TensorSpec, manifest_path, read_bundle
from edge_runtime.errors import BadRequest, SessionError
from edge_runtime.install import RunningModel
from edge_runtime.serving.loaded_version import LoadedVersion, load_version
from tests.edge_runtime.install.carried import CLASSES, DEVICE, MODEL, WIDTH, carry, expected, rows, small_model

GAINS = Measured({"peak_rss_mb": 100.0}, {"1": 1.0, "4": 1.2, "8": 3.0})
CENTRED = [
    helper.make_node("MatMul", ["x", "w"], ["h"]),
    helper.make_node("ReduceMean", ["h"], ["m"], axes=[0], keepdims=1),
    helper.make_node("Sub", ["h", "m"], ["c"]),
    helper.make_node("MatMul", ["c", "v"], ["y"]),
]


def running_bundle(folder: Path, **changes: Any) -> RunningModel:
    carried = carry(folder / "carried", folder / "made", 1, **changes)
    bundle = read_bundle(manifest_path(carried.root, MODEL, DEVICE, carried.digest))
    return RunningModel(bundle, bundle.entry_path, bundle.manifest.session)


def with_nodes(folder: Path, nodes: list[NodeProto]) -> dict[str, Path]:
    return small_model(folder / "nodes", 1, nodes)


def test_a_bundle_that_gains_is_batched_up_to_its_best_rows(tmp_path: Path) -> None:
    version = load_version(running_bundle(tmp_path, measured=GAINS))
    said = version.description
    assert (said.name, said.version, said.release, said.batched) == (MODEL, "1", "1", True)
    assert said.inputs == (TensorSpec("x", "float32", (None, WIDTH)),)
    assert said.outputs == (TensorSpec("y", "float32", (None, CLASSES)),)
    assert version.plan.most_rows == 4
    assert version.pace.seconds_per_work is not None


def test_its_answers_are_those_of_the_model(tmp_path: Path) -> None:
    running = running_bundle(tmp_path, measured=GAINS)
    version = load_version(running)
    (answer,) = version.predict({"x": rows(3, seed=5)})
    right = expected({"model.onnx": running.graph}, rows(3, seed=5))
    np.testing.assert_allclose(answer, right, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("curve", [{}, {"1": 1.0, "8": 7.0}], ids=["no curve", "no gain"])
def test_a_bundle_that_gains_nothing_runs_one_by_one(tmp_path: Path, curve: dict[str, float]) -> None:
    version = load_version(running_bundle(tmp_path, measured=Measured({}, curve)))
    assert not version.description.batched and version.plan.most_rows == 1
    assert version.pace.seconds_per_work is not None


def test_rows_that_change_each_others_answers_are_never_batched(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    running = running_bundle(tmp_path, measured=GAINS, files=with_nodes(tmp_path, CENTRED))
    version = load_version(running)
    assert not version.description.batched and not version.plan.joins
    assert "in a batch the output y moves by" in caplog.text


def test_a_bundle_that_answers_wrongly_does_not_load(tmp_path: Path) -> None:
    wrong = np.zeros((8, CLASSES), np.float32)
    with pytest.raises(SessionError, match="answers wrongly here: the output y misses"):
        load_version(running_bundle(tmp_path, answers=wrong))


def test_without_golden_vectors_nothing_is_batched(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    version = load_version(running_bundle(tmp_path, measured=GAINS, golden=None))
    assert not version.description.batched
    assert "no golden vectors" in caplog.text


def test_a_graph_of_other_tensors_than_its_manifest_does_not_load(tmp_path: Path) -> None:
    running = running_bundle(tmp_path)
    manifest = replace(running.bundle.manifest, inputs=(TensorSpec("z", "float32", (None, WIDTH)),), golden=None)
    with pytest.raises(SessionError, match="the manifest says"):
        load_version(replace(running, bundle=replace(running.bundle, manifest=manifest)))


@contextmanager
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _refuse(version: LoadedVersion) -> BadRequest:
    with pytest.raises(BadRequest) as raised:
        version.check({"x": np.zeros((1, 3), np.float32)}, None)
    return raised.value


def test_a_closed_version_is_freed_even_where_an_error_of_it_is_kept(tmp_path: Path) -> None:
    with no_collector():
        version = load_version(running_bundle(tmp_path, measured=GAINS))
        alive = weakref.ref(version._model)
        error = _refuse(version)
        assert alive() is not None
        version.close()
        assert alive() is None
        assert "input x" in str(error)
    with pytest.raises(SessionError, match="is closed"):
        version.predict({"x": rows(1)})


def test_a_version_may_be_made_without_an_event_loop(tmp_path: Path) -> None:
    """The loader's thread has none."""
    version = load_version(running_bundle(tmp_path))

    async def wait() -> None:
        version.freed.set()
        await version.freed.wait()

    asyncio.run(wait())

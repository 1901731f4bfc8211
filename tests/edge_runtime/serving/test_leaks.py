"""Leaks of swaps: neither threads nor descriptors nor mapped files of versions that are gone."""

import threading
from pathlib import Path

import numpy as np

from edge_runtime.bundle import TensorSpec, manifest_path
from edge_runtime.model_files import model_files
from edge_runtime.serving import Runtime
from tests.edge_runtime.install.carried import DEVICE, MODEL, WIDTH, carry, rows
from tests.edge_runtime.models import scaled_model
from tests.edge_runtime.processes import wait_until


def mapped(folder: Path) -> list[str]:
    """Return the files below a folder that this process has mapped."""
    return [line for line in Path("/proc/self/maps").read_text().splitlines() if str(folder) in line]


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def bundle_of(root: Path, seed: int) -> Path:
    """Write a bundle of y = seed * x, whose weights are a file of their own, which ONNX Runtime maps."""
    graph = scaled_model(root / f"scaled-{seed}", np.full(WIDTH, seed, np.float32))
    outputs = (TensorSpec("y", "float32", (None, WIDTH)),)
    carried = carry(root / "carried", root / f"made-{seed}", seed, files=model_files(graph), outputs=outputs)
    return manifest_path(carried.root, MODEL, DEVICE, carried.digest)


def test_a_swap_leaves_nothing_of_the_version_before(tmp_path: Path) -> None:
    paths = {seed: bundle_of(tmp_path, seed) for seed in (1, 2)}
    with Runtime.of_bundle(paths[1]) as runtime:
        runtime.replace(paths[2])
        runtime.predict(MODEL, {"x": rows(1)})
        threads, open_files = threading.active_count(), descriptors()
        assert len(mapped(tmp_path)) == 1
        for seed in (1, 2) * 3:
            runtime.replace(paths[seed])
            np.testing.assert_array_equal(runtime.predict(MODEL, {"x": rows(1)})["y"], rows(1) * seed)
            assert len(mapped(tmp_path)) == 1
        assert runtime.statistics()[0].swaps == 7
        assert threading.active_count() <= threads and descriptors() <= open_files
    wait_until(lambda: mapped(tmp_path) == [])

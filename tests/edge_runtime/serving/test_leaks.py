"""Leaks of swaps: neither threads nor descriptors nor mapped files of versions that are gone."""

import threading
from pathlib import Path

import numpy as np

from edge_runtime.bundle import manifest_path
from edge_runtime.model_files import model_files
from edge_runtime.serving import Runtime
from model_compression.onnx_files import make_portable
from tests.edge_runtime.install.carried import DEVICE, MODEL, carry, rows, wide_model
from tests.edge_runtime.processes import wait_until


def mapped(folder: Path) -> list[str]:
    """Return the files below a folder that this process has mapped."""
    return [line for line in Path("/proc/self/maps").read_text().splitlines() if str(folder) in line]


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def bundle_of(root: Path, seed: int) -> Path:
    """Write a bundle of 1 MB whose weights are files of their own, which ONNX Runtime maps."""
    graph = make_portable(wide_model(root / f"whole-{seed}", seed, 480), root / f"portable-{seed}")
    carried = carry(root / "carried", root / f"made-{seed}", seed, files=model_files(graph))
    return manifest_path(carried.root, MODEL, DEVICE, carried.digest)


def test_a_swap_leaves_nothing_of_the_version_before(tmp_path: Path) -> None:
    paths = [bundle_of(tmp_path, seed) for seed in (1, 2)]
    with Runtime.of_bundle(paths[0]) as runtime:
        runtime.replace(paths[1])
        runtime.predict(MODEL, {"x": rows(1)})
        threads, open_files, maps = threading.active_count(), descriptors(), len(mapped(tmp_path))
        for path in (paths[0], paths[1]) * 3:
            runtime.replace(path)
            assert np.isfinite(runtime.predict(MODEL, {"x": rows(1)})["y"]).all()
        assert runtime.statistics()[0].swaps == 7
        assert threading.active_count() <= threads and descriptors() <= open_files
        assert len(mapped(tmp_path)) <= maps
    wait_until(lambda: mapped(tmp_path) == [])

"""Time of an install of a bundle of 100 MB from a folder, beside `cp` and `sync` of the same files."""

import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from unittest.mock import patch

from edge_runtime.bundle import decode_manifest
from edge_runtime.install import DeviceStore, FolderSource, InstallSettings, Limits, Tuning, install
from edge_runtime.install import installer as installer_module
from edge_runtime.install.smoke_test import smoke_test
from edge_runtime.model_files import model_files
from model_compression.onnx_files import make_portable
from tests.benchmarks.record import Figure
from tests.edge_runtime.install.carried import DEVICE, MODEL, Carried, carry, wide_model

PAIRS = 7
LAYERS, SIDE = 6, 2048  # 6 matrices of 16.8 MB


@dataclass
class Spent:
    """Seconds that were spent in calls of one function."""

    seconds: list[float] = field(default_factory=list)

    def timed(self, function: Callable[..., object]) -> Callable[..., object]:
        """Return the function, timed."""

        def call(*arguments: object, **options: object) -> object:
            begun = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                self.seconds.append(time.perf_counter() - begun)

        return call


def large_model(folder: Path, seed: int) -> dict[str, Path]:
    """Write a model of 100 MB whose large weights are files of their own, named by their sha256."""
    return model_files(make_portable(wide_model(folder / "whole", seed, SIDE, LAYERS), folder / "portable"))


def figures(root: Path) -> list[Figure]:
    """Install and copy in turns, and return the ratio of the medians; the smoke test is left out, as it is told."""
    carried = [carry(root / "carried", root / f"made-{seed}", seed, files=large_model(root / f"large-{seed}", seed))
               for seed in (1, 2)]  # fmt: skip
    settings = InstallSettings(Limits(time_s=300, memory_mb=4000), Tuning(tuned_graph=False))
    installs, copies, tests = list[float](), list[float](), list[float]()
    for pair in range(PAIRS):
        store = DeviceStore(root / f"device-{pair}", DEVICE)
        install(store, MODEL, carried[0].data, FolderSource(carried[0].root), settings)
        seconds, tested = _install(store, carried[1], settings)
        installs.append(seconds - tested)
        tests.append(tested)
        copies.append(_copy(carried[1], store, root / f"copied-{pair}"))
        shutil.rmtree(store.root)
        shutil.rmtree(root / f"copied-{pair}")
    size = sum(float(blob.size) for blob in decode_manifest(carried[1].data).blobs) / 1e6
    return [
        Figure(f"install of {size:.0f} MB, to cp and sync, without the smoke test", median(installs) / median(copies),
               2.0, "x", "at_most"),
        Figure("cp and sync of the same files", median(copies), float("inf"), "s", "at_most"),
        Figure("smoke test of it", median(tests), float("inf"), "s", "at_most"),
    ]  # fmt: skip


def _install(store: DeviceStore, carried: Carried, settings: InstallSettings) -> tuple[float, float]:
    """Return the seconds of an install, and those of its smoke test."""
    subprocess.run(["sync"], check=True)
    spent = Spent()
    with patch.object(installer_module, "smoke_test", spent.timed(smoke_test)):
        begun = time.perf_counter()
        install(store, MODEL, carried.data, FolderSource(carried.root), settings)
        whole = time.perf_counter() - begun
    return whole, sum(spent.seconds)


def _copy(carried: Carried, store: DeviceStore, folder: Path) -> float:
    """Return the seconds that cp and sync take for the bundle's own blobs."""
    manifest = decode_manifest(carried.data)
    folder.mkdir()
    paths = [str(store.blob_path(blob.sha256)) for blob in manifest.blobs]
    subprocess.run(["sync"], check=True)
    begun = time.perf_counter()
    subprocess.run(["cp", *paths, str(folder)], check=True)
    subprocess.run(["sync", "-f", str(folder)], check=True)
    return time.perf_counter() - begun

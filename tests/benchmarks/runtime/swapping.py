"""Hot swap under load: requests that fail, the time of those that are answered, and memory after many swaps."""

import json
import subprocess
import sys
from pathlib import Path

from edge_runtime.bundle import Measured, manifest_path
from tests.benchmarks.record import ROOT, Figure
from tests.edge_runtime.install.carried import DEVICE, MODEL, carry, wide_model

REQUESTS, SWAPS, PER_SECOND = 10_000, 1_000, 250.0
SIDE, LAYERS = 512, 6  # 6 MB, about half a millisecond a row
CURVE = Measured({}, {"1": 1.0, "8": 2.0})


def figures(root: Path) -> list[Figure]:
    """Serve two versions by turns in a process of its own."""
    paths = [str(_bundle(root, seed)) for seed in (1, 2)]
    command = [sys.executable, "-m", "tests.benchmarks.runtime.swapping_process", *paths]
    command += [str(REQUESTS), str(SWAPS), str(PER_SECOND)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    said: dict[str, float] = json.loads(ended.stdout)
    if said["swaps"] < SWAPS or said["swaps_under_load"] < 10:
        raise RuntimeError(f"expected {SWAPS} swaps and more, got {said}")
    grown = (said["rss_after_mb"] / said["rss_before_mb"] - 1) * 100
    return [
        Figure(f"requests of {REQUESTS} that failed while {said['swaps_under_load']:.0f} swaps took place",
               said["busy_failed"], 0, "", "at_most"),
        Figure("p99 while versions are swapped, to p99 without", said["busy_p99_ms"] / said["quiet_p99_ms"], 2.0, "x",
               "at_most"),
        Figure("p99 without swaps", said["quiet_p99_ms"], float("inf"), "ms", "at_most"),
        Figure(f"resident memory after {SWAPS} swaps, above that before", grown, 2.0, "%", "at_most"),
        Figure("resident memory before", said["rss_before_mb"], float("inf"), "MiB", "at_most"),
    ]  # fmt: skip


def _bundle(root: Path, seed: int) -> Path:
    graph = wide_model(root / f"model-{seed}", seed, SIDE, LAYERS)
    carried = carry(root / "carried", root / f"made-{seed}", seed, files={"model.onnx": graph}, measured=CURVE)
    return manifest_path(carried.root, MODEL, DEVICE, carried.digest)

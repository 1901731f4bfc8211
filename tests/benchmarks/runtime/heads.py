"""Four heads on one backbone beside four models: time, private memory, and what an update of one head fetches."""

import math
from pathlib import Path

from edge_runtime.bundle import Blob
from edge_runtime.profiling import memory_of
from tests.benchmarks.record import Figure
from tests.benchmarks.runtime.family_models import carried_family, installed_family
from tests.benchmarks.runtime.heads_process import HEADS
from tests.benchmarks.runtime.processes_at_once import alive
from tests.edge_runtime.device.updated_device import UpdatedDevice
from tests.edge_runtime.update.loopback_server import running_server

MODULE = "tests.benchmarks.runtime.heads_process"
ASIDE = math.inf


def figures(root: Path) -> list[Figure]:
    """Install the family and the four models on one device, and update one head over a network on another."""
    store = str(installed_family(root / "one"))
    with alive(1, "turns", store, module=MODULE) as (one,):
        ms = one.said
    private = {what: _private_mb(what, store) - _private_mb(what) for what in ("family", "models")}
    fetched, changed, whole = _update(root / "two")
    return [
        Figure("four heads on one backbone: latency, to that of four models", ms["family"] / ms["models"], 0.3, "x",
               "at_most"),
        Figure("four models: latency of all", ms["models"], ASIDE, "ms", "at_most"),
        Figure("one head alone: latency, to that of four heads", ms["one"] / ms["family"], ASIDE, "x", "at_most"),
        Figure("four heads on one backbone: private memory, to that of four models",
               private["family"] / private["models"], 0.35, "x", "at_most"),
        Figure("four models: private memory", private["models"], ASIDE, "MiB", "at_most"),
        Figure("update of one head: bytes fetched, to those of its changed blobs", fetched / changed, 1.1, "x",
               "at_most"),
        Figure("update of one head: changed blobs, to those of the bundle", changed / whole, ASIDE, "x", "at_most"),
    ]  # fmt: skip


def _private_mb(what: str, *place: str) -> float:
    with alive(1, what, *place, module=MODULE) as (one,):
        return memory_of(one.pid).private_mb


def _update(root: Path) -> tuple[int, int, int]:
    """Return the bytes that an update of one head fetched, those of its changed blobs, and those of all."""
    root.mkdir()
    seeds = {name: at for at, name in enumerate(HEADS)}
    with running_server() as server:
        device = UpdatedDevice(root, server)
        first = device.offer(carried_family(device.root, root / "first", 1, seeds))
        device.update()
        second = device.offer(carried_family(device.root, root / "second", 2, seeds | {"wear": 99}))
        return device.update(), _bytes(second - first), _bytes(second)


def _bytes(blobs: set[Blob]) -> int:
    return sum(blob.size for blob in blobs)

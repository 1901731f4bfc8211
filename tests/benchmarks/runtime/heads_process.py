"""One process of the benchmark of heads: `WHAT STORE`, where WHAT is `family`, `models` or `turns`.

`family` and `models` load one of both and answer once; `turns` loads both and times them in turns. It says what it
found as JSON, and ends when its stdin does. Without a STORE it loads nothing.
"""
# ruff: noqa: T201

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import TypeAlias

import edge_runtime.backbone  # noqa: F401 - loading does so later
from edge_runtime.install import DeviceStore, running
from tests.benchmarks.runtime.row import ROW

ROUNDS = 60
HEADS = ("presence", "defect", "grade", "wear")
Answer: TypeAlias = Callable[[], object]


def family(store: DeviceStore) -> Answer:
    """Return a call of the family for all of its outputs."""
    model = running(store, "camera").load()
    return lambda: model.predict({"x": ROW})


def models(store: DeviceStore) -> Answer:
    """Return a call of each of the four models."""
    loaded = [running(store, name).load() for name in HEADS]
    return lambda: [model.predict({"x": ROW}) for model in loaded]


def turns(store: DeviceStore) -> Mapping[str, float]:
    """Return the median milliseconds of both, and of one head of the family alone."""
    one = running(store, "camera").load()
    calls: dict[str, Answer] = {
        "family": family(store), "models": models(store), "one": lambda: one.predict({"x": ROW}, HEADS[:1]),
    }  # fmt: skip
    times = {name: list[float]() for name in calls}
    order = list(calls)
    for _ in range(ROUNDS):
        for name in order:
            began = time.perf_counter()
            calls[name]()
            times[name].append((time.perf_counter() - began) * 1e3)
        order.reverse()  # each comes after the other as often
    return {name: median(found[5:]) for name, found in times.items()}


def main(what: str, place: str = "") -> None:
    """Do what is asked, and say it."""
    said: Mapping[str, float] = {}
    kept: Answer | None = None
    if place:
        store = DeviceStore(Path(place), "gateway")
        if what == "turns":
            said = turns(store)
        else:
            kept = {"family": family, "models": models}[what](store)
            kept()
    print(json.dumps(said), flush=True)
    sys.stdin.buffer.read()
    del kept


if __name__ == "__main__":
    main(*sys.argv[1:])

"""From a registration, or an alias that moved, to the run: when it is RUNNING, and when its preflight has ended."""

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.record import Figure
from tests.benchmarks.triggers.installation import Versions, installed
from tests.edge_runtime.processes import wait_until
from tests.end_to_end.prefect_api import PrefectApi
from tests.end_to_end.tiny.variants import write_variant

BY_WEBHOOK, BY_ALIAS, LOST, DIRECT = 20, 10, 8, 4
ALIAS = "champion"
WAIT_S = 120.0
LOOK_S = 0.3


@dataclass(frozen=True)
class Delay:
    """Seconds from the call that asks to the run being RUNNING, and to the end of its preflight."""

    running: float
    checked: float


def measure(api: PrefectApi, ask: Callable[[], str], model: str) -> Delay:
    """Ask for a version of a model, wait for the end of its run's preflight, and cancel the run."""
    began, version = time.time(), ask()
    found: dict[str, Any] = {}

    def checked() -> bool:
        time.sleep(LOOK_S)  # the times are Prefect's own, and whoever asks all the time slows it down
        for run in api.runs_of("compress", "RUNNING"):
            asked = run["parameters"]
            if (asked["model"], asked["version"]) == (model, version):
                ends = [task["end_time"] for task in api.tasks(run["id"]) if task["name"].startswith("preflight")]
                found.update(run, checked=next(filter(None, ends), None))
        return found.get("checked") is not None

    wait_until(checked, seconds=WAIT_S)
    running = next(state["timestamp"] for state in api.states(found["id"]) if state["type"] == "RUNNING")
    api.cancel(found["id"])
    delay = Delay(seconds(running) - began, seconds(found["checked"]) - began)
    sys.stdout.write(f"{model} {version}: {delay}\n")  # where a later one fails, this one is not lost
    return delay


def seconds(timestamp: str) -> float:
    """Return a time of Prefect's in seconds since 1970."""
    return datetime.fromisoformat(timestamp.replace("Z", "+00:00")).timestamp()


def delays(root: Path) -> dict[str, list[Delay]]:
    """Measure every way in which a version is asked for."""
    with installed(root / "servers") as (servers, api):
        servers.stack.start("worker")
        own = write_variant(root, "tiny", {"model": "told", "newer": "supersede"})
        named = write_variant(root, "named", {"model": "named", "follow": {"alias": ALIAS}, "devices": ["named"]})
        told, by_name = Versions(servers.stack.mlflow, "told"), Versions(servers.stack.mlflow, "named")
        found: dict[str, list[Delay]] = {}
        with servers.watching([own, named], webhooks=True, seconds=3600):
            measure(api, told.add, told.model)  # the first run writes the caches of Python's modules
            found["webhook"] = [measure(api, told.add, told.model) for _ in range(BY_WEBHOOK)]
            found["alias"] = [measure(api, _to_move(by_name), by_name.model) for _ in range(BY_ALIAS)]
        with servers.watching([own], webhooks=False):
            found["lost"] = [measure(api, told.add, told.model) for _ in range(LOST)]
            direct = partial(told.add_directly, servers.store)
            found["direct"] = [measure(api, direct, told.model) for _ in range(DIRECT)]
        return found


def _to_move(versions: Versions) -> Callable[[], str]:
    """Register a version, which nobody follows; return a function that moves the alias to it."""
    version = versions.add()

    def move() -> str:
        versions.client.set_registered_model_alias(versions.model, ALIAS, version)
        return version

    return move


def figures(root: Path) -> list[Figure]:
    """Return the figures of all ways."""
    found = delays(root)
    told, missed = [*found["webhook"], *found["alias"]], [*found["lost"], *found["direct"]]
    running = [each.running for each in told]
    return [
        Figure("registration or alias to RUNNING by webhook, median of 30", statistics.median(running), 3.5, "s",
               "at_most"),
        Figure("the same, 95th percentile", percentile(running, 95), 6, "s", "at_most"),
        Figure("webhook lost or store written directly, to RUNNING, longest of 12",
               max(each.running for each in missed), 15, "s", "at_most"),
        Figure("by webhook to the end of preflight, median of 30", statistics.median(each.checked for each in told), 9,
               "s", "at_most"),
    ]  # fmt: skip


def percentile(values: Sequence[float], share: float) -> float:
    """Return a percentile of some values."""
    return float(np.percentile(values, share))

"""kill -9 of every service at once in each stage of a run, then `edgewright up`: when it goes on, and how it ends.

Nothing is added to the processes: a stage is seen from outside, by what it has begun to write, and the kill counts only
where that is still unfinished after it.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flows.services.leftovers import marked
from tasks.registry import EdgeModels, Runs, register_upstream
from tests.benchmarks.record import Figure
from tests.benchmarks.triggers.delays import seconds
from tests.benchmarks.triggers.installation import MAIN
from tests.docker.dockerfiles import ROOT
from tests.edge_runtime.bundle.listing import bundles_in
from tests.edge_runtime.processes import wait_until
from tests.end_to_end.prefect_api import FINAL, PrefectApi
from tests.end_to_end.scale.cluster import free_port
from tests.end_to_end.tiny.upstream import EXAMPLE, trained
from tests.end_to_end.tiny.variants import write_variant

MODEL = DEVICE = "tiny"
BACK_S, END_S = 90.0, 900.0
IN_STORE = {
    "program": "program", "baseline": "parent-outputs", "prune": "prune", "ladder": "ptq", "measure": "measure",
    "gates": "turns",
}  # fmt: skip
"""The stages of a run by the names that they have in the store."""
STAGES = (*IN_STORE, "record", "publish")


@dataclass
class Home:
    """One home with all services of `edgewright up`."""

    root: Path
    ports: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.home, self.target = self.root / "home", self.root / "target"
        self.ports = {name: free_port() for name in ("mlflow", "prefect", "worker", "watch")}
        self.recipe = write_variant(self.root, DEVICE)
        self.mlflow = f"http://127.0.0.1:{self.ports['mlflow']}"
        self.prefect = f"http://127.0.0.1:{self.ports['prefect']}/api"

    def up(self) -> None:
        """Start all services, as a person or the system does."""
        ports = [word for name, port in self.ports.items() for word in (f"--port-{name}", str(port))]
        self._edgewright("up", "--recipe", self.recipe, *ports)

    def down(self) -> None:
        """End all services."""
        self._edgewright("down")

    def kill(self) -> int:
        """Kill the supervisor and every service, with the run that is at work; return the number of processes."""
        folder = self.home / "services"
        supervisor = int((folder / "lock").read_text())
        os.kill(supervisor, signal.SIGKILL)
        count = 1
        while found := list(marked(folder)):
            for pid in found:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            count += len(found)
            time.sleep(0.05)
        return count

    def register(self, seed: int) -> str:
        """Register a version; return its number."""
        return register_upstream(self.mlflow, MODEL, trained(seed=seed), EXAMPLE, {"seed": seed})

    def begun(self, stage: str, before: frozenset[str]) -> bool:
        """Tell whether a stage of the version at work is begun and not finished."""
        if stage in IN_STORE:
            return any((self.home / "store" / IN_STORE[stage]).glob(".tmp-*"))
        claims = self.target / ".claims" / MODEL / DEVICE
        if stage == "publish":
            return {path.name for path in claims.glob("*.json")} - before != set() and not self._is_released(claims)
        pages = {str(path) for path in (self.home / "mlflow" / "artifacts").glob("*/*/*/report.html")}
        return pages - before != set() and {path.name for path in claims.glob("*.json")} <= before

    def seen(self) -> frozenset[str]:
        """Return what earlier versions left that a stage is seen by."""
        claims = (self.target / ".claims" / MODEL / DEVICE).glob("*.json")
        pages = (self.home / "mlflow" / "artifacts").glob("*/*/*/report.html")
        return frozenset([path.name for path in claims] + [str(path) for path in pages])

    def stages(self) -> dict[str, int]:
        """Return the finished stages, each with its inode: a stage that is computed again has another."""
        return {f"{path.parent.parent.name}/{path.parent.name}": path.stat().st_ino
                for path in (self.home / "store").glob("*/*/result.json") if ".tmp-" not in str(path)}  # fmt: skip

    def _is_released(self, claims: Path) -> bool:
        numbers = [int(path.stem) for path in claims.glob("*.json") if path.stem.isdecimal()]
        return bool(numbers) and (claims / f"{max(numbers)}.settled.json").exists()

    def _edgewright(self, *arguments: str) -> None:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "MLFLOW_"))}
        kept |= {"EDGEWRIGHT_HOME": str(self.home), "EDGEWRIGHT_TARGET": str(self.target), "PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, "-c", MAIN, *arguments], env=kept, check=True, stdout=subprocess.DEVNULL)


@dataclass(frozen=True)
class Killed:
    """A kill and what came of it: seconds from `edgewright up` to RUNNING, and everything that is not as it must be."""

    stage: str
    processes: int
    back_s: float
    started_s: float
    computed_twice: int
    published_twice: int
    wrong: tuple[str, ...]

    @property
    def line(self) -> str:
        """The line of the table."""
        return (
            f"| {self.stage} | {self.processes} | {self.started_s:.0f} | {self.back_s:.0f} | {self.computed_twice} | "
            f"{self.published_twice} | {'; '.join(self.wrong) or 'as it would have'} |"
        )


def killed(root: Path, stages: tuple[str, ...] = STAGES) -> list[Killed]:
    """Answer two versions undisturbed, then kill everything once in each stage of a version of its own."""
    home = Home(root)
    home.up()
    try:
        for seed in range(2):
            before = home.stages()
            _answered(home, home.register(seed))
        # Times that did not compare are not kept, so that a version which nothing disturbed may have none.
        usual = _by_name(home.stages(), before) | Counter(turns=1)
        return [_kill(home, stage, seed, usual) for seed, stage in enumerate(stages, 2)]
    finally:
        home.down()
        shutil.rmtree(home.home, ignore_errors=True)


def _kill(home: Home, stage: str, seed: int, usual: Counter[str]) -> Killed:
    before, seen = home.stages(), home.seen()
    version = home.register(seed)
    _soon(lambda: home.begun(stage, seen), END_S)
    count = home.kill()
    wrong = [] if home.begun(stage, seen) else [f"the kill did not hit {stage}"]
    finished = home.stages()
    began, at = time.time(), time.monotonic()
    home.up()
    started = time.monotonic() - at
    back = _answered(home, version) - began
    after = home.stages()
    again = [name for name, inode in finished.items() if after.get(name) != inode]
    extra = _by_name(after, before) - usual
    wrong += [f"{count} more of {name}" for name, count in extra.items()]
    return Killed(stage, count, back, started, len(again) + extra.total(), _published_twice(home),
                  tuple(wrong + _unlike(home, version)))  # fmt: skip


def _answered(home: Home, version: str) -> float:
    """Wait until a version is answered; return the time at which its last run was RUNNING first."""
    with PrefectApi(home.prefect) as api:
        found: list[dict[str, Any]] = []

        def over() -> bool:
            time.sleep(1)
            found[:] = [run for run in api.runs_of("compress") if run["parameters"]["version"] == version]
            return "COMPLETED" in {run["state_type"] for run in found} and {run["state_type"] for run in found} <= FINAL

        wait_until(over, seconds=END_S)
        last = max(found, key=lambda run: str(run["created"]))
        return min(seconds(state["timestamp"]) for state in api.states(last["id"]) if state["type"] == "RUNNING")


def _soon(condition: Callable[[], bool], limit_s: float) -> None:
    """Return as soon as a condition holds: some stages take milliseconds."""
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"expected the stage to begin within {limit_s:g} s, got no sign of it")
        time.sleep(0.001)


def _by_name(stages: dict[str, int], before: dict[str, int]) -> Counter[str]:
    return Counter(name.partition("/")[0] for name in stages if name not in before)


def _published_twice(home: Home) -> int:
    sources = [release.source_version for release in EdgeModels(home.mlflow, MODEL).releases(DEVICE)]
    bundles = [bundle.manifest.version for bundle in bundles_in(home.target, MODEL, DEVICE)]
    return len(sources) - len(set(sources)) + len(bundles) - len(set(bundles))


def _unlike(home: Home, version: str) -> list[str]:
    """Return in words what is not as an undisturbed run leaves it."""
    runs, deployed = Runs(home.mlflow, MODEL), EdgeModels(home.mlflow, MODEL).deployed(DEVICE)
    answers = [run.data.tags.get("edgewright.answer") for run in
               runs.search({"edgewright.stage": "compress", "edgewright.version": version})]  # fmt: skip
    found = [] if answers == ["published"] else [f"answers {answers}"]
    found += [] if deployed is not None and deployed.source_version == version else ["it is not what is deployed"]
    left = [run.info.run_name for run in runs.search({"edgewright.model": MODEL}) if run.info.status == "RUNNING"]
    return found + [f"{name} is left RUNNING" for name in left]


def figures(found: list[Killed]) -> list[Figure]:
    """Return the figures of all kills."""
    return [
        Figure("all services killed at once in each of 8 stages: stages that were hit",
               float(sum(not any("did not hit" in each for each in kill.wrong) for kill in found)), len(STAGES), "",
               "at_least"),
        Figure("the same, from edgewright up to RUNNING, longest", max(kill.back_s for kill in found), BACK_S, "s",
               "at_most"),
        Figure("the same: runs that did not end as they would have", float(sum(bool(kill.wrong) for kill in found)), 0,
               "", "at_most"),
        Figure("the same: stages computed twice", float(sum(kill.computed_twice for kill in found)), 0, "", "at_most"),
        Figure("the same: published twice", float(max(kill.published_twice for kill in found)), 0, "", "at_most"),
    ]  # fmt: skip


def table(found: list[Killed]) -> str:
    """Return a line for each kill."""
    head = "| stage | processes | `edgewright up`, s | RUNNING again, s | computed twice | published twice | ended |"
    return "\n".join([head, "| --- | --- | --- | --- | --- | --- | --- |", *(kill.line for kill in found)])

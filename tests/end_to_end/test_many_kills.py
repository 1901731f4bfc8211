"""60 kills of the command line, each followed by a rerun: nothing stays, and the same comes out. `make test-kills`.

Most kills are at steps that others can see, spread over the registry, the target and the store; the others at random
moments. Each begins with a copy of a home that has a published version 1 and a version 2 that nobody has answered.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end import census
from tests.tasks.processes import ROOT

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow, pytest.mark.timeout(3600)]

KILLS, AT_STEPS = 60, 45
KINDS = {"alias": 5, "version": 5, "/target": 15, "mlflow.": 15, "copyfile": 5}
"""Kills at steps whose name has this in it; where there are fewer such steps, others take their place."""
RECIPE = "tests/end_to_end/tiny/recipes/tiny.yaml"
REGISTER = (
    "import sys; from tests.end_to_end.tiny.upstream import register; register(sys.argv[1], seed=int(sys.argv[2]))"
)
MAIN = "from flows.cli import main; main()"
COMPRESS = ("compress", "tiny", "2", "--recipe", RECIPE)
LIMIT_S = 300


@dataclass
class Lane:
    """A home that commands run in, one after the other, and the copies that it is set back to."""

    root: Path
    steps: list[str] = field(default_factory=list)
    seconds: float = 0.0
    expected: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.home, self.temporary, self.events = self.root / "home", self.root / "tmp", self.root / "events"

    def prepare(self) -> None:
        """Answer version 1, register version 2, and learn from an undisturbed run what comes of it, in which steps."""
        self.root.mkdir()
        self.temporary.mkdir()
        self._register(seed=0)
        assert self.run("compress", "tiny", "1", "--recipe", RECIPE)[0] == 0
        self._register(seed=1)
        self.keep("fresh")
        assert self.run(*COMPRESS)[0] == 0
        self.expected = census.results(self.home)
        self.keep("answered")
        self.restore("fresh")
        shutil.copytree(self.root / "answered" / "store", self.home / "store", dirs_exist_ok=True)
        self.keep("computed")  # all stages are there: what is left is what others see
        started = time.monotonic()
        assert self.killed_at(-1) == 0
        self.seconds = time.monotonic() - started
        self.steps = self.events.read_text().splitlines()

    def _register(self, seed: int) -> None:
        command = [sys.executable, "-c", REGISTER, f"sqlite:///{self.home}/mlflow/mlflow.db", str(seed)]
        environment = self._environment() | {"TMPDIR": str(self.root)}  # the upstream team's files are not ours
        subprocess.run(command, check=True, cwd=ROOT, env=environment, capture_output=True)

    def keep(self, name: str) -> None:
        shutil.copytree(self.home, self.root / name, symlinks=True)

    def restore(self, name: str) -> None:
        shutil.rmtree(self.home, ignore_errors=True)
        shutil.copytree(self.root / name, self.home, symlinks=True)

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run the command line to its end; return its code and output."""
        ended = subprocess.run(
            [sys.executable, "-c", MAIN, *arguments], cwd=ROOT, env=self._environment(), timeout=LIMIT_S,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return ended.returncode, ended.stdout + ended.stderr

    def killed_at(self, step: int) -> int:
        """Run the command line, which kills itself before a step; return its code."""
        self.events.unlink(missing_ok=True)
        command = [sys.executable, "-m", "tests.end_to_end.killed_command", str(self.events), str(step), *COMPRESS]
        return subprocess.run(
            command, cwd=ROOT, env=self._environment(), timeout=LIMIT_S, capture_output=True, check=False
        ).returncode

    def killed_after(self, seconds: float) -> int:
        """Run the command line and kill it after a time; return its code."""
        process = subprocess.Popen(
            [sys.executable, "-c", MAIN, *COMPRESS], cwd=ROOT, env=self._environment(), stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
        return process.wait()

    def findings(self, code: int) -> list[str]:
        """Run again after a kill that ended with `code`; return everything that is not as it must be."""
        found = [] if code == -signal.SIGKILL else [f"the kill did not hit: exit code {code}"]
        found += [f"survived the kill: {each}" for each in census.processes_of(self.home)]
        code, said = self.run(*COMPRESS)
        found += [] if code == 0 else [f"rerun: exit code {code}: {said[-2000:]}"]
        found += [f"survived the rerun: {each}" for each in census.processes_of(self.home)]
        found += [f"left: {each}" for each in census.leftovers(self.home, self.temporary)]
        results = census.results(self.home)
        wrong = [key for key in results if results[key] != self.expected[key]]
        return found + [f"{key}: {results[key]} instead of {self.expected[key]}" for key in wrong]

    def _environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "MLFLOW_TRACKING"))}
        return kept | {"EDGEWRIGHT_HOME": str(self.home), "TMPDIR": str(self.temporary), "COLUMNS": "200"}


@dataclass(frozen=True)
class Kill:
    """A kill before a step, or after a time where there is none."""

    base: str
    where: str
    step: int | None = None
    after: float = 0.0

    def find(self, lane: Lane) -> list[str]:
        """Kill a run, run again, and return everything that is not as it must be."""
        lane.restore(self.base)
        code = lane.killed_at(self.step) if self.step is not None else lane.killed_after(self.after)
        after = self.after
        while self.step is None and code == 0:  # the machine is less busy than before: the run ended first
            lane.restore(self.base)
            after /= 2
            code = lane.killed_after(after)
        found = [f"killed {self.where} ({self.base}): {each}" for each in lane.findings(code)]
        print(f"killed {self.where}: {len(found)} findings", flush=True)  # noqa: T201 - all of them take minutes
        return found


def spread(found: Sequence[int], count: int) -> list[int]:
    """Return some of the numbers, evenly spread, the first and the last among them."""
    if len(found) <= count or count < 2:
        return list(found[:count])
    return [found[round(index * (len(found) - 1) / (count - 1))] for index in range(count)]


def chosen(steps: Sequence[str], seconds: float) -> Iterator[Kill]:
    """Yield the kills: at steps of each kind, and at random moments of a run that computes and of one that need not."""
    taken: set[int] = set()
    for part, count in (*KINDS.items(), ("", AT_STEPS)):
        free = [index for index, name in enumerate(steps) if part in name and index not in taken]
        taken |= set(spread(free, min(count, AT_STEPS - len(taken))))
    yield from (Kill("computed", f"before step {step}, {steps[step]}", step=step) for step in sorted(taken))
    moments = random.Random(0)
    for index in range(KILLS - len(taken)):
        after = moments.uniform(0.1, 0.9) * seconds
        yield Kill(("fresh", "computed")[index % 2], f"after {after:.1f} s", after=after)


@pytest.fixture(scope="module")
def lanes(tmp_path_factory: pytest.TempPathFactory) -> list[Lane]:
    """Two homes, one for each core."""
    root = tmp_path_factory.mktemp("kills")
    lanes = [Lane(root / "first"), Lane(root / "second")]
    with ThreadPoolExecutor(2) as beside:
        list(beside.map(Lane.prepare, lanes))
    return lanes


def test_after_60_kills_and_reruns_nothing_stays_and_the_same_comes_out(lanes: list[Lane]) -> None:
    kills = list(chosen(lanes[0].steps, lanes[0].seconds))
    assert len(kills) == KILLS and sum(kill.step is not None for kill in kills) == AT_STEPS
    free = list(lanes)

    def find(kill: Kill) -> list[str]:
        lane = free.pop()
        try:
            return kill.find(lane)
        finally:
            free.append(lane)

    with ThreadPoolExecutor(len(lanes)) as beside:
        found = [each for findings in beside.map(find, kills) for each in findings]
    assert found == [], "\n".join(found)

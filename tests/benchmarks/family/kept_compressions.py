"""Compressions by the real command, each in a home of its own, timed and kept once they have ended."""

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from deployments.recipe import FamilyRecipe, read_recipe
from edge_runtime.bundle import Bundle, manifests_of, verify_bundle
from edge_runtime.files import write_atomic
from tasks.store import stage_key
from tasks.workspace import Workspace
from tests.benchmarks.record import ROOT
from tests.benchmarks.trajectory.cache import CACHE, console
from tests.tasks.delivery.devices import PERSONS, WORKER

KEPT = CACHE / "family"
CODE = ("model_compression", "quality_gates", "edge_runtime", "deployments", "tasks", "flows")
PASSPHRASES = {"EDGEWRIGHT_KEYS_PASSPHRASE": WORKER, "EDGEWRIGHT_OFFLINE_KEYS_PASSPHRASE": PERSONS}
MAIN = "from flows.cli import main; main()"
UNDECIDED, TRIES = 3, 3
_RECORD = "compressed.json"
_OTHERS = ("PREFECT_", "MLFLOW_", "EDGEWRIGHT_")
Prepare: TypeAlias = Callable[[Workspace], None]
"""Begins a signed repository and registers the models of a home."""

Run: TypeAlias = Callable[..., int]
"""Runs the command line with a home and words; returns its exit code."""


@dataclass(frozen=True)
class Compressed:
    """One compression: its model and device, its seconds on the clock and of CPU, the load before it, and its home."""

    model: str
    device: str
    seconds: float
    cpu_s: float
    load: float
    home: Path

    @property
    def workspace(self) -> Workspace:
        """The places of its home."""
        return Workspace.at(self.home)

    def releases(self) -> list[Bundle]:
        """Return the published bundles, every byte verified, the first release first."""
        found = [verify_bundle(path) for path in manifests_of(self.workspace.target, self.model, self.device)]
        return sorted(found, key=lambda bundle: int(bundle.manifest.release))


def run_edgewright(home: Path, *words: str) -> int:
    """Run the command line in a home, with its progress on this terminal; return its exit code."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(_OTHERS)}
    variables = kept | PASSPHRASES | {"EDGEWRIGHT_HOME": str(home), "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", MAIN, *words], env=variables, check=False).returncode


def compress_once(recipe: Path, prepare: Prepare, root: Path = KEPT, run: Run = run_edgewright) -> Compressed:
    """Compress the first version of a recipe's model, or return what was kept of the same recipe and code.

    Raises RuntimeError where it is not published.
    """
    read = read_recipe(recipe)
    place = root / f"{read.model}-{stage_key('compress', {'recipe': read.digest}, CODE)[:12]}"
    home, record = place / "home", place / _RECORD
    if record.exists():
        return Compressed(**json.loads(record.read_text()), home=home)
    shutil.rmtree(place, ignore_errors=True)
    console.print(f"{read.model}: preparing {home}", markup=False, soft_wrap=True)
    home.mkdir(parents=True)
    prepare(Workspace.at(home))
    version = [] if isinstance(read, FamilyRecipe) else ["1"]  # a family is composed by the command itself
    load, began, cpu = os.getloadavg()[0], time.monotonic(), _cpu_seconds_of_children()
    compress_until_decided(home, read.model, *version, "--recipe", str(recipe), run=run)
    times = {"seconds": time.monotonic() - began, "cpu_s": _cpu_seconds_of_children() - cpu, "load": load}
    write_atomic(record, json.dumps({"model": read.model, "device": read.devices[0].name, **times}).encode())
    console.print(f"{read.model}: {times['seconds']:.0f} s, {times['cpu_s']:.0f} s of CPU", markup=False)
    return compress_once(recipe, prepare, root, run)


def compress_until_decided(home: Path, *words: str, run: Run = run_edgewright) -> None:
    """Compress; ask again where nothing was decided, as on a machine that was too busy to take times.

    Raises RuntimeError where a version is not published.
    """
    code = UNDECIDED
    for _ in range(TRIES):
        if code == UNDECIDED:
            code = run(home, "compress", *words)
    if code:
        raise RuntimeError(
            f"edgewright compress {' '.join(words)} in {home}: expected a published release, got the exit code {code}; "
            "read what it said above"
        )


def _cpu_seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime

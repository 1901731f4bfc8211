"""Tuning: the graph, the threads and the execution provider that suit this very device, chosen by measuring.

The pipeline's machine is not of this device's CPU, so the tuned graph is made here: ONNX Runtime optimizes the portable
graph for this CPU and saves it with its weights as the kernels want them. That loads at once, and all processes share
its pages. A choice counts only where it answers the golden vectors as the portable graph does. Whatever goes wrong here
says nothing about the bundle: the portable graph is the fallback.
"""

import json
import logging
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge_runtime.bundle import Bundle
from edge_runtime.cpu import this_cpu
from edge_runtime.errors import EdgewrightError
from edge_runtime.files import fsync_directory, make_directories, sha256_of, write_atomic, write_synced
from edge_runtime.install.choices import FailedChoice, Graph, HowItRuns, MeasuredChoice, choice_from_plain
from edge_runtime.install.smoke_test import Limits, compared_times, most_rows, smoke_test
from edge_runtime.install.store import DeviceStore
from edge_runtime.measurement import Measurement, environment, run_child
from edge_runtime.model_files import MODEL, check_model, model_bytes, weights_of
from edge_runtime.onnxruntime_packages import onnxruntime_version, plugins
from edge_runtime.settings import SessionSettings

logger = logging.getLogger("edgewright")
RECORD = "tuned.json"
WORKER = ("-m", "edge_runtime.install.tuning_worker")
CPU = "CPUExecutionProvider"


@dataclass(frozen=True)
class Tuning:
    """The choice that a device has: whether graphs are tuned, numbers of threads, and execution providers.

    Empty `threads` and `providers` are those of the manifest.
    """

    tuned_graph: bool = True
    threads: tuple[int, ...] = ()
    providers: tuple[str, ...] = ()


def portable(bundle: Bundle) -> tuple[Path, SessionSettings]:
    """Return the graph and the session of a bundle as they were measured when it was made."""
    return bundle.entry_path, bundle.manifest.session


def tune(store: DeviceStore, bundle: Bundle, seen: Measurement, tuning: Tuning, limits: Limits) -> None:
    """Choose how a bundle runs here, and keep the choice beside it; `seen` is the portable graph's measurement here.

    Never raises for what a choice does: it is left out, with a log line.
    """
    folder = store.tuned_folder(bundle.digest)
    shutil.rmtree(folder, ignore_errors=True)
    make_directories(folder)
    try:
        trials = _Trials(bundle, folder, limits)
        _keep(folder, bundle, trials.best(seen, tuning), trials.tried)
    except (OSError, EdgewrightError) as error:
        logger.warning("%s: no tuned graph: %s", bundle.manifest.model, error)
        shutil.rmtree(folder, ignore_errors=True)


def how_it_runs(store: DeviceStore, bundle: Bundle) -> HowItRuns:
    """Return how a bundle was chosen to run here, verified; as the portable graph where the choice holds no more.

    It holds for the ONNX Runtime, its plugins and the CPU that it was made with.
    """
    folder = store.tuned_folder(bundle.digest)
    try:
        record = json.loads((folder / RECORD).read_text())
        if record["made_with"] != _made_with():
            raise ValueError("it was made with another ONNX Runtime, plugin or CPU")
        settings = SessionSettings.from_plain(record["session"])
        tried = tuple(choice_from_plain(each) for each in record["tried"])
        if record["sha256"] is None:
            return HowItRuns(bundle.entry_path, settings, tried=tried)
        check_model(folder / MODEL, record["sha256"])
    except FileNotFoundError:
        return HowItRuns(*portable(bundle))
    except (OSError, ValueError, KeyError, TypeError, EdgewrightError) as error:
        logger.warning("%s: the portable graph is used: %s", bundle.manifest.model, error)
        return HowItRuns(*portable(bundle), said=str(error))
    return HowItRuns(folder / MODEL, settings, "tuned", tried)


def _made_with() -> list[str]:
    return [onnxruntime_version(), this_cpu(), *(f"{name} {version}" for name, version in plugins().items())]


class _Trials:
    """The choices for one bundle, tried one after the other, and what came of each."""

    def __init__(self, bundle: Bundle, folder: Path, limits: Limits) -> None:
        self.tried: list[MeasuredChoice | FailedChoice] = []
        self._bundle, self._folder, self._limits = bundle, folder, limits
        self._graph, self._base = portable(bundle)
        self._bytes = model_bytes(self._graph)

    def best(self, seen: Measurement, tuning: Tuning) -> MeasuredChoice:
        """Try everything, and return what is best; threads and providers are chosen with the portable graph."""
        best = on_cpu = self._portable(seen)
        for settings in self._sessions(tuning):
            best = self._better("portable", settings, best)
            on_cpu = best if best.session.execution_provider == CPU else on_cpu
        if not tuning.tuned_graph:
            return best
        if weights_of(self._graph):
            best = self._better("portable", replace(on_cpu.session, prepack=False), best)
        if self._is_made():
            best = self._better("tuned", replace(on_cpu.session, optimization="off"), best)
        return self._better(best.graph, replace(best.session, arena=False), best)

    def _sessions(self, tuning: Tuning) -> Iterator[SessionSettings]:
        for provider in tuning.providers or (self._base.execution_provider,):
            for threads in tuning.threads or (self._base.threads,):
                settings = replace(self._base, execution_provider=provider, threads=threads)
                if settings != self._base:
                    yield settings

    def _better(self, graph: Graph, settings: SessionSettings, best: MeasuredChoice) -> MeasuredChoice:
        """Try a choice; return it where it is better than the best so far. One that fails is said, and left out."""
        try:
            seen = smoke_test(self._bundle, self._path(graph), settings, self._limits)
            p50_ms, batch_ms = (
                None if known is None else known * self._ratio(best, graph, settings, rows)
                for known, rows in ((best.p50_ms, 1), (best.batch_p50_ms, most_rows(self._bundle)))
            )
        except EdgewrightError as error:
            self._failed(graph, settings, str(error))
            return best
        found = MeasuredChoice(graph, settings, p50_ms or seen.figures.latency_p50_ms, batch_ms, seen.private_mb)
        self.tried.append(found)
        return found if found.is_better_than(best, self._bytes) else best

    def _ratio(self, best: MeasuredChoice, graph: Graph, settings: SessionSettings, rows: int) -> float:
        """Return the time of a choice as a multiple of the best one's, taken in turns."""
        known, new = (self._path(best.graph), best.session), (self._path(graph), settings)
        before, after = compared_times(self._bundle, known, new, rows, self._limits)
        return after / before

    def _path(self, graph: Graph) -> Path:
        return self._folder / MODEL if graph == "tuned" else self._graph

    def _portable(self, seen: Measurement) -> MeasuredChoice:
        """Return the portable graph as a choice; the time of several rows is relative, as that of one row is known."""
        batch_ms = None
        if (rows := most_rows(self._bundle)) > 1:
            batch_ms = self._bundle.manifest.measured.batch_ms[str(rows)]
        choice = MeasuredChoice("portable", self._base, seen.figures.latency_p50_ms, batch_ms, seen.private_mb)
        self.tried.append(choice)
        return choice

    def _is_made(self) -> bool:
        """Make the tuned graph in a process of its own; False where that does not work."""
        settings = self._bundle.manifest.session
        request = {"graph": str(self._graph), "folder": str(self._folder), "session": settings.to_plain()}
        write_atomic(self._folder / "request.json", json.dumps(request).encode())
        command = [sys.executable, *WORKER, str(self._folder / "request.json")]
        ended = run_child(command, self._folder, environment(settings.threads, ()), self._limits.time_s)
        if ended.returncode != 0 or not (self._folder / MODEL).is_file():
            self._failed("tuned", None, f"no tuned graph was made: {ended.last_lines or ended.returncode}")
            return False
        return True

    def _failed(self, graph: Graph, settings: SessionSettings | None, reason: str) -> None:
        self.tried.append(FailedChoice(graph, settings, reason))
        logger.warning("%s: %s graph with %s is not used: %s", self._bundle.manifest.model, graph, settings, reason)


def _keep(folder: Path, bundle: Bundle, best: MeasuredChoice, tried: list[MeasuredChoice | FailedChoice]) -> None:
    """Write the choice, durably; a tuned graph that was not chosen goes. What is kept is read-only."""
    graph, own = folder / MODEL, best.graph == "tuned"
    kept = {graph, *weights_of(graph)} if own else set()
    for path in folder.iterdir():
        if path not in kept:
            path.unlink()
            continue
        path.chmod(0o444)  # processes map it: a write in place would change their weights, a cut would kill them
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        os.fsync(descriptor)
        os.close(descriptor)
    record: dict[str, Any] = {
        "sha256": sha256_of(graph) if own else None,
        "session": best.session.to_plain(),
        "made_with": _made_with(),
        "tried": [each.to_plain() for each in tried],
    }
    write_synced(folder / RECORD, (json.dumps(record, indent=2) + "\n").encode())
    fsync_directory(folder)
    fsync_directory(folder.parent)
    logger.info("%s: runs the %s graph here", bundle.manifest.model, best.graph)

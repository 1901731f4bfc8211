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
from edge_runtime.files import fsync_directory, make_directories, write_atomic, write_synced
from edge_runtime.install.choices import FailedChoice, Graph, HowItRuns, MeasuredChoice, choice_from_plain
from edge_runtime.install.smoke_test import Limits, compared_times, most_rows, smoke_test
from edge_runtime.install.store import DeviceStore
from edge_runtime.measurement import Measurement, environment, run_child
from edge_runtime.model_files import (
    MODEL,
    HeadGraph,
    check_model,
    files_of,
    head_file,
    model_bytes,
    model_digest,
    weights_of,
)
from edge_runtime.onnxruntime_packages import onnxruntime_version, plugins
from edge_runtime.settings import CPU, SessionSettings

logger = logging.getLogger("edgewright")
RECORD = "tuned.json"
WORKER = ("-m", "edge_runtime.install.tuning_worker")


@dataclass(frozen=True)
class Tuning:
    """The choice that a device has: whether graphs are tuned, numbers of threads, and execution providers.

    Empty `threads` and `providers` are those of the manifest.
    """

    tuned_graph: bool = True
    threads: tuple[int, ...] = ()
    providers: tuple[str, ...] = ()


def portable(bundle: Bundle) -> HowItRuns:
    """Return how a bundle runs as it was measured when it was made."""
    return HowItRuns(bundle.entry_path, bundle.manifest.session, heads=bundle.heads)


def tune(
    store: DeviceStore, bundle: Bundle, seen: Measurement, tuning: Tuning, limits: Limits, before: Bundle | None = None
) -> None:
    """Choose how a bundle runs here, and keep the choice beside it; `seen` is the portable graph's measurement here.

    `before` is the bundle that runs now, where this one has its backbone and other heads. Then it runs as that does, if
    it can: a process that serves so keeps the backbone. Never raises for what a choice does: it is left out, with a log
    line.
    """
    folder = store.tuned_folder(bundle.digest)
    shutil.rmtree(folder, ignore_errors=True)
    make_directories(folder)
    try:
        trials = _Trials(bundle, folder, limits, None if before is None else how_it_runs(store, before))
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
            return replace(portable(bundle), session=settings, tried=tried)
        heads = _tuned_heads(folder, bundle)
        check_model(folder / MODEL, record["sha256"], heads)
    except FileNotFoundError:
        return portable(bundle)
    except (OSError, ValueError, KeyError, TypeError, EdgewrightError) as error:
        logger.warning("%s: the portable graph is used: %s", bundle.manifest.model, error)
        return replace(portable(bundle), said=str(error))
    return HowItRuns(folder / MODEL, settings, "tuned", tried, heads=heads)


def _tuned_heads(folder: Path, bundle: Bundle) -> tuple[HeadGraph, ...]:
    return tuple(replace(head, path=folder / head_file(head.name)) for head in bundle.heads)


def _made_with() -> list[str]:
    return [onnxruntime_version(), this_cpu(), *(f"{name} {version}" for name, version in plugins().items())]


class _Trials:
    """The choices for one bundle, tried one after the other, and what came of each."""

    def __init__(self, bundle: Bundle, folder: Path, limits: Limits, before: HowItRuns | None) -> None:
        self.tried: list[MeasuredChoice | FailedChoice] = []
        self._bundle, self._folder, self._limits, self._before = bundle, folder, limits, before
        self._published = portable(bundle)
        self._base = self._published.session
        self._bytes = model_bytes(self._published.graph, self._published.heads)

    def best(self, seen: Measurement, tuning: Tuning) -> MeasuredChoice:
        """Try everything, and return what is best; threads and providers are chosen with the portable graph."""
        best = on_cpu = self._of_published(seen)
        if self._before is not None and (again := self._as_before(self._before, best, tuning)) is not None:
            return again
        for settings in self._sessions(tuning):
            best = self._better("portable", settings, best)
            on_cpu = best if best.session.execution_provider == CPU else on_cpu
        if not tuning.tuned_graph:
            return best
        if any(weights_of(path) for path in self._graphs().values()):
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

    def _as_before(self, before: HowItRuns, best: MeasuredChoice, tuning: Tuning) -> MeasuredChoice | None:
        """Try the choice of the bundle before; None where it holds no more, or does not work with these heads."""
        session, base, tuned = before.session, self._base, before.kind == "tuned"
        allowed = (tuning.tuned_graph or not tuned) and session.threads in (tuning.threads or (base.threads,))
        allowed = allowed and session.execution_provider in (tuning.providers or (base.execution_provider,))
        if before.said or not before.tried or not allowed:
            return None
        if tuned and not self._is_made(before.graph):
            return None
        return self._compared(before.kind, session, best)

    def _better(self, graph: Graph, settings: SessionSettings, best: MeasuredChoice) -> MeasuredChoice:
        """Try a choice; return it where it is better than the best so far."""
        found = self._compared(graph, settings, best)
        return found if found is not None and found.is_better_than(best, self._bytes) else best

    def _compared(self, graph: Graph, settings: SessionSettings, best: MeasuredChoice) -> MeasuredChoice | None:
        """Measure a choice beside the best so far. One that fails is said, and left out: None."""
        runs = self._runs(graph, settings)
        try:
            seen = smoke_test(self._bundle, runs, self._limits)
            p50_ms, batch_ms = (
                None if known is None else known * self._ratio(best, runs, rows)
                for known, rows in ((best.p50_ms, 1), (best.batch_p50_ms, most_rows(self._bundle)))
            )
        except EdgewrightError as error:
            self._failed(graph, settings, str(error))
            return None
        found = MeasuredChoice(graph, settings, p50_ms or seen.figures.latency_p50_ms, batch_ms, seen.private_mb)
        self.tried.append(found)
        return found

    def _ratio(self, best: MeasuredChoice, runs: HowItRuns, rows: int) -> float:
        """Return the time of a choice as a multiple of the best one's, taken in turns."""
        before, after = compared_times(self._bundle, self._runs(best.graph, best.session), runs, rows, self._limits)
        return after / before

    def _runs(self, graph: Graph, settings: SessionSettings) -> HowItRuns:
        if graph == "portable":
            return replace(self._published, session=settings)
        return HowItRuns(self._folder / MODEL, settings, graph, heads=_tuned_heads(self._folder, self._bundle))

    def _of_published(self, seen: Measurement) -> MeasuredChoice:
        """Return the portable graph as a choice; the time of several rows is relative, as that of one row is known."""
        batch_ms = None
        if (rows := most_rows(self._bundle)) > 1:
            batch_ms = self._bundle.manifest.measured.batch_ms[str(rows)]
        choice = MeasuredChoice("portable", self._base, seen.figures.latency_p50_ms, batch_ms, seen.private_mb)
        self.tried.append(choice)
        return choice

    def _graphs(self) -> dict[str, Path]:
        """Return the portable graphs by the names that they get here."""
        heads = {head_file(head.name): head.path for head in self._published.heads}
        return {MODEL: self._published.graph, **heads}

    def _is_made(self, backbone: Path | None = None) -> bool:
        """Make the tuned graphs in a process of its own; False where that does not work.

        `backbone` is one that was made here before: it is taken as it is, and so processes share its pages.
        """
        settings, graphs = self._base, self._graphs()
        if backbone is not None:
            for path in files_of(backbone):
                os.link(path, self._folder / path.name)
            del graphs[MODEL]
        named = {name: str(path) for name, path in graphs.items()}
        request = {"graphs": named, "folder": str(self._folder), "session": settings.to_plain()}
        write_atomic(self._folder / "request.json", json.dumps(request).encode())
        command = [sys.executable, *WORKER, str(self._folder / "request.json")]
        ended = run_child(command, self._folder, environment(settings.threads, ()), self._limits.time_s)
        if ended.returncode != 0 or not all((self._folder / name).is_file() for name in (MODEL, *graphs)):
            self._failed("tuned", None, f"no tuned graph was made: {ended.last_lines or ended.returncode}")
            return False
        return True

    def _failed(self, graph: Graph, settings: SessionSettings | None, reason: str) -> None:
        self.tried.append(FailedChoice(graph, settings, reason))
        logger.warning("%s: %s graph with %s is not used: %s", self._bundle.manifest.model, graph, settings, reason)


def _keep(folder: Path, bundle: Bundle, best: MeasuredChoice, tried: list[MeasuredChoice | FailedChoice]) -> None:
    """Write the choice, durably; a tuned graph that was not chosen goes. What is kept is read-only."""
    graph, heads, own = folder / MODEL, _tuned_heads(folder, bundle), best.graph == "tuned"
    kept = files_of(graph, heads) if own else set()
    for path in folder.iterdir():
        if path not in kept:
            path.unlink()
            continue
        path.chmod(0o444)  # processes map it: a write in place would change their weights, a cut would kill them
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        os.fsync(descriptor)
        os.close(descriptor)
    record: dict[str, Any] = {
        "sha256": model_digest(graph, heads) if own else None,
        "session": best.session.to_plain(),
        "made_with": _made_with(),
        "tried": [each.to_plain() for each in tried],
    }
    write_synced(folder / RECORD, (json.dumps(record, indent=2) + "\n").encode())
    fsync_directory(folder)
    fsync_directory(folder.parent)
    logger.info("%s: runs the %s graph here", bundle.manifest.model, best.graph)

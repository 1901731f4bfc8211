"""Tuning: the graph, the threads and the execution provider that are fastest on this very device, chosen by measuring.

The pipeline's machine is not of this device's CPU, so the tuned graph is made here: ONNX Runtime optimizes the portable
graph for this CPU and saves it with its weights as the kernels want them, which loads at once and shares its pages. It
counts only where it answers the golden vectors as the portable graph does. Whatever goes wrong here says nothing about
the bundle: the portable graph is the fallback.
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
from edge_runtime.install.smoke_test import Limits, smoke_test
from edge_runtime.install.store import DeviceStore
from edge_runtime.measurement import environment, run_child
from edge_runtime.model_files import MODEL, check_model, weights_of
from edge_runtime.onnxruntime_packages import onnxruntime_version, plugins
from edge_runtime.settings import SessionSettings

logger = logging.getLogger("edgewright")
RECORD = "tuned.json"
WORKER = ("-m", "edge_runtime.install.tuning_worker")
NEAR = 0.95
"""Share of the portable graph's time that a choice must stay below, so that noise alone changes nothing."""


@dataclass(frozen=True)
class Tuning:
    """The choice that a device has: whether a tuned graph is made, numbers of threads, and execution providers.

    Empty `threads` and `providers` are those of the manifest.
    """

    tuned_graph: bool = True
    threads: tuple[int, ...] = ()
    providers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """A graph and the session with which it runs; `p50_ms` is the median time of a row that was measured here."""

    graph: Path
    settings: SessionSettings
    p50_ms: float


def portable(bundle: Bundle) -> tuple[Path, SessionSettings]:
    """Return the graph and the session of a bundle as they were measured when it was made."""
    return bundle.entry_path, bundle.manifest.session


def tune(store: DeviceStore, bundle: Bundle, p50_ms: float, tuning: Tuning, limits: Limits) -> None:
    """Choose how a bundle runs here, and keep the choice beside it; `p50_ms` is the portable graph's time here.

    Never raises for what a choice does: it is left out, with a log line.
    """
    folder = store.tuned_folder(bundle.digest)
    shutil.rmtree(folder, ignore_errors=True)
    make_directories(folder)
    graph, settings = portable(bundle)
    best = Choice(graph, settings, p50_ms * NEAR)
    try:
        for candidate, session in _candidates(bundle, folder, tuning, limits):
            measured = _tried(bundle, candidate, session, limits)
            if measured is not None and measured < best.p50_ms:
                best = Choice(candidate, session, measured)
        _keep(folder, bundle, best)
    except OSError as error:
        logger.warning("%s: no tuned graph: %s", bundle.manifest.model, error)
        shutil.rmtree(folder, ignore_errors=True)


def tuned(store: DeviceStore, bundle: Bundle) -> tuple[Path, SessionSettings]:
    """Return how a bundle was chosen to run here, verified; the portable graph where the choice holds no more.

    It holds for the ONNX Runtime, its plugins and the CPU that it was made with.
    """
    folder = store.tuned_folder(bundle.digest)
    try:
        record = json.loads((folder / RECORD).read_text())
        if record["made_with"] != _made_with():
            raise ValueError("it was made with another ONNX Runtime, plugin or CPU")
        settings = SessionSettings.from_plain(record["session"])
        if record["sha256"] is None:
            return bundle.entry_path, settings
        check_model(folder / MODEL, record["sha256"])
    except FileNotFoundError:
        return portable(bundle)
    except (OSError, ValueError, KeyError, TypeError, EdgewrightError) as error:
        logger.warning("%s: the portable graph is used: %s", bundle.manifest.model, error)
        return portable(bundle)
    return folder / MODEL, settings


def _made_with() -> list[str]:
    return [onnxruntime_version(), this_cpu(), *(f"{name} {version}" for name, version in plugins().items())]


def _candidates(bundle: Bundle, folder: Path, tuning: Tuning, limits: Limits) -> Iterator[tuple[Path, SessionSettings]]:
    graph, base = portable(bundle)
    for provider in tuning.providers or (base.execution_provider,):
        for threads in tuning.threads or (base.threads,):
            settings = replace(base, execution_provider=provider, threads=threads)
            if settings != base:
                yield graph, settings
    if tuning.tuned_graph and _made(bundle, folder, limits):
        for threads in tuning.threads or (base.threads,):
            yield folder / MODEL, replace(base, threads=threads, optimization="off")


def _made(bundle: Bundle, folder: Path, limits: Limits) -> bool:
    """Make the tuned graph in a process of its own; False, with a log line, where that does not work."""
    settings = bundle.manifest.session
    request = {"graph": str(bundle.entry_path), "folder": str(folder), "session": settings.to_plain()}
    write_atomic(folder / "request.json", json.dumps(request).encode())
    command = [sys.executable, *WORKER, str(folder / "request.json")]
    ended = run_child(command, folder, environment(settings.threads, ()), limits.time_s)
    if ended.returncode != 0 or not (folder / MODEL).is_file():
        logger.warning("%s: no tuned graph was made: %s", bundle.manifest.model, ended.last_lines or ended.returncode)
        return False
    return True


def _tried(bundle: Bundle, graph: Path, settings: SessionSettings, limits: Limits) -> float | None:
    """Return the median time of a row; None, with a log line, for a choice that fails or answers otherwise."""
    try:
        return smoke_test(bundle, graph, settings, limits).latency_p50_ms
    except EdgewrightError as error:
        logger.warning("%s: %s with %s is not used: %s", bundle.manifest.model, graph.name, settings, error)
        return None


def _keep(folder: Path, bundle: Bundle, best: Choice) -> None:
    """Write the choice, durably; a tuned graph that was not chosen goes."""
    own = best.graph == folder / MODEL
    for path in folder.iterdir():
        if not own or (path.name != MODEL and path not in weights_of(best.graph)):
            path.unlink()
        else:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            os.fsync(descriptor)
            os.close(descriptor)
    sha256 = sha256_of(best.graph) if own else None
    record: dict[str, Any] = {"sha256": sha256, "session": best.settings.to_plain(), "made_with": _made_with()}
    write_synced(folder / RECORD, (json.dumps(record | {"p50_ms": best.p50_ms}, indent=2) + "\n").encode())
    fsync_directory(folder)
    fsync_directory(folder.parent)
    logger.info("%s: runs the %s graph here", bundle.manifest.model, "tuned" if own else "portable")

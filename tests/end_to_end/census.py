"""A count of what a command left behind: processes, temporary files, runs, bundles, versions and aliases."""

import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.edge_runtime.bundle.listing import bundles_in

OUTLIVED_S = 20.0


def processes_of(home: Path) -> list[str]:
    """Return the commands of all processes that have a home in their environment or command, after a while to end."""
    deadline = time.monotonic() + OUTLIVED_S
    while (found := list(_processes(home))) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def leftovers(home: Path, temporary: Path) -> list[str]:
    """Return what no command may leave: temporary files, unfinished work and bundles, runs that nobody works on."""
    files = [str(path) for path in temporary.iterdir()] + [str(path) for path in home.glob("tmp/*")]
    unfinished = [str(path) for place in ("store", "target") for path in (home / place).rglob(".tmp-*")]
    running = [f"RUNNING {run}" for (run,) in _ask(home, "SELECT run_uuid FROM runs WHERE status = 'RUNNING'")]
    return files + unfinished + running


def results(home: Path) -> dict[str, Any]:
    """Return what came of all versions: bundles, registered versions, aliases and answers, by upstream version."""
    versions = {
        (name, version): tags.get("edgewright.source_version", f"upstream {version}")
        for name, version, tags in _versions(home)
    }
    return {
        "bundles": sorted(_bundles(home / "target")),
        "versions": sorted((name, source) for (name, _), source in versions.items()),
        "aliases": sorted(
            (name, alias, versions[name, version])
            for name, alias, version in _ask(home, "SELECT name, alias, version FROM registered_model_aliases")
        ),
        "answers": sorted(
            (name, version, tags["edgewright.answer"])
            for name, version, tags in _versions(home)
            if "edgewright.answer" in tags
        ),
        "runs": sorted(
            _ask(
                home,
                "SELECT t.value, r.name, r.status, COUNT(*) FROM runs r JOIN tags t ON t.run_uuid = r.run_uuid "
                "AND t.key = 'edgewright.stage' GROUP BY t.value, r.name, r.status",
            )
        ),
    }


def _bundles(target: Path) -> Iterator[tuple[str, str, str]]:
    for bundle in bundles_in(target):
        yield bundle.manifest.model, bundle.manifest.device, bundle.manifest.version


def _versions(home: Path) -> list[tuple[str, int, dict[str, str]]]:
    tags: dict[tuple[str, int], dict[str, str]] = {}
    for name, version, key, value in _ask(home, "SELECT name, version, key, value FROM model_version_tags"):
        tags.setdefault((name, version), {})[key] = value
    found = _ask(home, "SELECT name, version FROM model_versions WHERE current_stage != 'Deleted_Internal'")
    return [(name, version, tags.get((name, version), {})) for name, version in found]


def _ask(home: Path, query: str) -> list[Any]:
    connection = sqlite3.connect(f"file:{home}/mlflow/mlflow.db?mode=ro", uri=True, timeout=30)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def _processes(home: Path) -> Iterator[str]:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            if str(home).encode() in command + (folder / "environ").read_bytes():
                yield json.dumps(command.decode(errors="replace").replace("\0", " ")[:200])
        except OSError:  # it has ended, or is somebody else's
            continue

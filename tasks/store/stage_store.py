"""A store of finished stages, addressed by their cache keys: a stage that finished is never computed again."""

import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edge_runtime.files import fsync_directory, make_directories, sha256_of, write_synced
from tasks.store.cache_keys import Code, Json, digest_of, stage_key
from tasks.store.stage_begins import say_begin
from tasks.store.work_folders import work_folder

logger = logging.getLogger("edgewright.stages")

RESULT = "result.json"


@dataclass(frozen=True)
class StageResult:
    """A stage's result: a JSON value and files in a folder of its own."""

    name: str
    key: str
    value: Json
    folder: Path
    digest: str  # of the value and the files; what the next stage's key is made of
    seconds: float  # what it cost when it was computed
    reused: bool


class StageStore:
    """Runs stages and keeps their results below one folder, `NAME/KEY/`.

    A key is the digest of the stage's inputs, the source code it stands on and the library versions. A result becomes
    visible by one rename, after everything in it is on disk; it counts only while every file still has its digest.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(
        self, name: str, inputs: Mapping[str, Json], code: Sequence[Code], produce: Callable[[Path], Json]
    ) -> StageResult:
        """Return the stored result for these inputs, or compute it: `produce` writes files and returns a JSON value."""
        key = stage_key(name, inputs, code)
        folder = self.root / name / key
        found = self._read(name, key, folder)
        if found is not None:
            logger.debug("%s: found %s", name, key)
            return found
        say_begin(name, folder.parent)
        return self._compute(name, key, folder, produce)

    def _compute(self, name: str, key: str, folder: Path, produce: Callable[[Path], Json]) -> StageResult:
        make_directories(folder.parent)
        with work_folder(folder) as work:
            started = time.perf_counter()
            value = produce(work)
            seconds = time.perf_counter() - started
            files = {str(path.relative_to(work)): sha256_of(path) for path in sorted(work.rglob("*")) if path.is_file()}
            record = json.loads(json.dumps({"value": value, "files": files, "seconds": seconds}))
            _sync(work)
            write_synced(work / RESULT, json.dumps(record | {"digest": digest_of(record)}).encode())
            fsync_directory(work)
            _commit(work, folder)
        stored = self._read(name, key, folder)
        if stored is None:
            raise OSError(f"{folder}: expected the result that was just written, got a damaged one; check the disk")
        return replace(stored, reused=False)

    def _read(self, name: str, key: str, folder: Path) -> StageResult | None:
        if not folder.exists():
            return None
        try:
            value, files, seconds = _intact(folder)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            logger.warning("%s: a stored result is damaged or incomplete (%s); computing it again", name, error)
            shutil.rmtree(folder, ignore_errors=True)
            return None
        digest = digest_of({"value": value, "files": files})
        return StageResult(name, key, value, folder, digest, seconds, reused=True)


def _intact(folder: Path) -> tuple[Json, dict[str, str], float]:
    """Read a stored result; raises an error of some kind unless it and all its files are as they were written."""
    record = json.loads((folder / RESULT).read_text())
    digest = record.pop("digest")
    if digest != digest_of(record):
        raise ValueError(f"{RESULT} was changed")
    for path, expected in record["files"].items():
        if not (folder / path).resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"{path} leads out of the folder")
        if sha256_of(folder / path) != expected:
            raise ValueError(f"{path} was changed")
    return record["value"], record["files"], record["seconds"]


def _sync(work: Path) -> None:
    for path in work.rglob("*"):
        if path.is_dir():
            fsync_directory(path)
        else:
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _commit(work: Path, folder: Path) -> None:
    try:
        work.rename(folder)
    except OSError:  # another process was first: its result is as good
        if not (folder / RESULT).is_file():
            raise
    fsync_directory(folder.parent)

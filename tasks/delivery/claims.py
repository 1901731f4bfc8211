"""Claims of release numbers in a folder: one file for each number, another for its end, both created once for good."""

import json
import math
import os
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from edge_runtime.files import fsync_directory, make_directories, open_regular, write_synced
from tasks.errors import SystemFailure, one_line
from tasks.processes import Process

CLAIMS = ".claims"
SETTLED = ".settled.json"
TEMPORARY = ".tmp-"
MOST_BYTES = 1 << 22
LEFT_FOR_S = 3600.0
RESTORE = "restore it, or remove it by hand if no bundle names its release, and run again"
End: TypeAlias = Literal["released", "abandoned"]


@dataclass(frozen=True)
class Claim:
    """A release number that was taken: by whom, in which process and when, and how it ended; None while it is open."""

    release: int
    holder: str
    process: Process
    when: float
    end: End | None
    note: Mapping[str, Any]

    def is_dead(self, now: float, lease_s: float) -> bool:
        """Tell whether an open claim will not be finished: its process is gone, or it is older than a publication."""
        return self.end is None and (bool(self.process.has_ended()) or now - self.when > lease_s)


@dataclass(frozen=True)
class FolderClaims:
    """The claims in `.claims/MODEL/DEVICE/` of a folder, which must be on a file system with hard links."""

    root: Path

    def claim(self, model: str, device: str, release: int, holder: str) -> bool:
        """Create the file of a release number; the file system lets only one claimant create it."""
        by = {"holder": holder, "process": asdict(Process.this()), "when": time.time()}
        return bool(_created(self._claims(model, device) / f"{release}.json", by)["holder"] == holder)

    def claims(self, model: str, device: str) -> list[Claim]:
        """Read the files of all release numbers; raises SystemFailure for one that nobody here wrote."""
        folder = self._claims(model, device)
        numbers = sorted(int(path.stem) for path in folder.glob("*.json") if path.stem.isdecimal())
        return [_claim(folder, number) for number in numbers]

    def settle(self, model: str, device: str, release: int, end: End, note: Mapping[str, Any]) -> bool:
        """Create the file of a claim's end beside the claim."""
        path = self._claims(model, device) / f"{release}{SETTLED}"
        content = {"end": end, "note": dict(note), "process": asdict(Process.this())}
        return bool(_created(path, content)["end"] == end)

    def _clean(self, model: str, device: str) -> None:
        """Remove what writers of claims left that were killed."""
        for path in self._claims(model, device).glob(f"{TEMPORARY}*"):
            with suppress(OSError):
                if _is_left(path):
                    path.unlink()

    def _claims(self, model: str, device: str) -> Path:
        return self.root / CLAIMS / model / device


def _is_left(path: Path) -> bool:
    """Tell whether the writer of a temporary file has ended; where that cannot be seen, after an hour."""
    try:
        ended = Process(**_read(path)["process"]).has_ended()
    except (SystemFailure, KeyError, TypeError):  # it was killed while it wrote
        ended = None
    return time.time() - path.lstat().st_mtime > LEFT_FOR_S if ended is None else ended


def _created(path: Path, content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Create a file that must not exist yet, whole and synced; return what it holds, by whoever was first.

    Raises SystemFailure where the folder cannot be written to.
    """
    try:
        return _linked(path, content)
    except OSError as error:
        raise SystemFailure(
            f"{path}: expected to write a claim of a release, which cannot be written to its folder: "
            f"{one_line(error)}; cure the cause and run again"
        ) from error


def _linked(path: Path, content: Mapping[str, Any]) -> Mapping[str, Any]:
    make_directories(path.parent)
    whole = path.with_name(f"{TEMPORARY}{path.name}-{secrets.token_hex(8)}")
    try:
        write_synced(whole, json.dumps(content).encode())  # a kill leaves this file, never a part of a claim
        os.link(whole, path)
    except FileExistsError:
        return _read(path)
    finally:
        whole.unlink(missing_ok=True)
    fsync_directory(path.parent)
    return content


def _read(path: Path) -> Mapping[str, Any]:
    """Read one of the files beside the bundles.

    Raises SystemFailure for what nobody here wrote: that says nothing about any version.
    """
    try:
        with open_regular(path) as file:
            found = json.loads(file.read(MOST_BYTES))
    except (OSError, ValueError) as error:
        raise SystemFailure(f"{path}: expected a claim of a release, got {one_line(error)}; {RESTORE}") from error
    if not isinstance(found, dict):
        raise SystemFailure(f"{path}: expected a claim of a release, got {type(found).__name__}; {RESTORE}")
    return found


def _claim(folder: Path, number: int) -> Claim:
    taken, settled = _read(folder / f"{number}.json"), folder / f"{number}{SETTLED}"
    ended: Mapping[str, Any] = _read(settled) if os.path.lexists(settled) else {"end": None}
    try:
        if ended["end"] not in (None, *get_args(End)):
            raise ValueError(f"the end {ended['end']!r}")
        if not math.isfinite(when := float(taken["when"])):
            raise ValueError(f"the time {when}")
        return Claim(
            number, str(taken["holder"]), Process(**taken["process"]), when, ended["end"], dict(ended.get("note") or {})
        )
    except (KeyError, TypeError, ValueError) as error:
        raise SystemFailure(
            f"{folder}: expected claim {number} in the form of this release of Edgewright, got {one_line(error)}; "
            f"{RESTORE}"
        ) from error

"""Claims of release numbers: an object for each number, another for its end, both created once for good."""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from tasks.errors import SystemFailure, one_line
from tasks.processes import Process
from tasks.repository import FolderObjects, ObjectStore

CLAIMS = ".claims"
TAKEN, SETTLED = ".json", ".settled.json"
MOST_BYTES = 1 << 22
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
class ReleaseClaims:
    """The claims in `.claims/MODEL/DEVICE/` of an object store, which lets only one claimant create a name."""

    store: ObjectStore

    def claim(self, model: str, device: str, release: int, holder: str) -> bool:
        """Take a release number for a holder; True where it is this holder's, now or before."""
        by = {"holder": holder, "process": asdict(Process.this()), "when": time.time()}
        return bool(self._created(f"{_folder(model, device)}/{release}{TAKEN}", by)["holder"] == holder)

    def claims(self, model: str, device: str) -> list[Claim]:
        """Read the claims of all release numbers; raises SystemFailure for one that nobody here wrote."""
        folder = _folder(model, device)
        names = set(self.store.names(folder))
        numbers = sorted(int(number) for name in names if (number := name.removesuffix(TAKEN)).isdecimal())
        return [self._claim(folder, number, f"{number}{SETTLED}" in names) for number in numbers]

    def settle(self, model: str, device: str, release: int, end: End, note: Mapping[str, Any]) -> bool:
        """Say how a claim ended, once and for good; True where it has ended so, now or before."""
        content = {"end": end, "note": dict(note), "process": asdict(Process.this())}
        return bool(self._created(f"{_folder(model, device)}/{release}{SETTLED}", content)["end"] == end)

    def tidy(self, model: str, device: str) -> None:
        """Remove what writers of claims left that were killed."""
        self.store.tidy(_folder(model, device))

    def _created(self, name: str, content: Mapping[str, Any]) -> Mapping[str, Any]:
        """Create an object that must not exist yet; return what it holds, by whoever was first."""
        return content if self.store.create(name, json.dumps(content).encode()) else self._read(name)

    def _read(self, name: str) -> Mapping[str, Any]:
        """Read one of the claims. Raises SystemFailure for what nobody here wrote: that says nothing of a version."""
        where = f"{self.store.address}/{name}"
        try:
            found = json.loads(self.store.read(name, MOST_BYTES) or b"")
        except (SystemFailure, ValueError) as error:
            raise SystemFailure(f"{where}: expected a claim of a release, got {one_line(error)}; {RESTORE}") from error
        if not isinstance(found, dict):
            raise SystemFailure(f"{where}: expected a claim of a release, got {type(found).__name__}; {RESTORE}")
        return found

    def _claim(self, folder: str, number: int, has_end: bool) -> Claim:
        taken = self._read(f"{folder}/{number}{TAKEN}")
        ended: Mapping[str, Any] = self._read(f"{folder}/{number}{SETTLED}") if has_end else {"end": None}
        try:
            if ended["end"] not in (None, *get_args(End)):
                raise ValueError(f"the end {ended['end']!r}")
            if not math.isfinite(when := float(taken["when"])):
                raise ValueError(f"the time {when}")
            return Claim(
                number, str(taken["holder"]), Process(**taken["process"]), when, ended["end"],
                dict(ended.get("note") or {}),
            )  # fmt: skip
        except (KeyError, TypeError, ValueError) as error:
            raise SystemFailure(
                f"{self.store.address}/{folder}: expected claim {number} in the form of this release of Edgewright, "
                f"got {one_line(error)}; {RESTORE}"
            ) from error


@dataclass(frozen=True)
class FolderClaims:
    """The claims of a folder, which must be on a file system with hard links."""

    root: Path

    def claim(self, model: str, device: str, release: int, holder: str) -> bool:
        """Take a release number, as ReleaseClaims does."""
        return self._all.claim(model, device, release, holder)

    def claims(self, model: str, device: str) -> list[Claim]:
        """Return all claims, as ReleaseClaims does."""
        return self._all.claims(model, device)

    def settle(self, model: str, device: str, release: int, end: End, note: Mapping[str, Any]) -> bool:
        """Say how a claim ended, as ReleaseClaims does."""
        return self._all.settle(model, device, release, end, note)

    def tidy(self, model: str, device: str) -> None:
        """Remove what killed writers left, as ReleaseClaims does."""
        self._all.tidy(model, device)

    @property
    def _all(self) -> ReleaseClaims:
        return ReleaseClaims(FolderObjects(self.root))


def _folder(model: str, device: str) -> str:
    return f"{CLAIMS}/{model}/{device}"

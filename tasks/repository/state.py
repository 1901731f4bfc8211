"""The state of a signed repository: the newest files that count, also those that a killed publisher left unfinished.

Versioned names are created one after the other, so the newest one is found by asking for the next until there is none.
What is not signed by the keys that count now is passed over, and its number is not used again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic

from tuf.api.exceptions import LengthOrHashMismatchError
from tuf.api.metadata import MetaFile, Root, Snapshot, Targets, Timestamp

from tasks.errors import KeysError, SystemFailure
from tasks.repository.objects import ObjectStore
from tasks.repository.signing import (
    TIMESTAMP,
    Content,
    SignedFile,
    is_trusted,
    most_bytes,
    name_of,
    read,
)


@dataclass(frozen=True)
class Found(Generic[Content]):
    """The newest file of a role that counts, None for none, and the highest number that is taken."""

    best: SignedFile[Content] | None
    last: int


@dataclass(frozen=True)
class State:
    """Everything that counts now: `shown` is timestamp.json as it is, from which readers begin.

    `targets` is the newest one that can be shown with `roles`, the roles of the device profiles. `newer` is a later
    one, which waits until the role of a profile is signed with the key that it names. A role has no best file where
    its key has signed nothing yet, or where what is shown was signed by a key that was revoked.
    """

    root: SignedFile[Root]
    shown: bytes | None
    timestamp: Found[Timestamp]
    snapshot: Found[Snapshot]
    targets: SignedFile[Targets]
    roles: Mapping[str, Found[Targets]]
    newer: SignedFile[Targets] | None
    last_targets: int

    @property
    def meta(self) -> dict[str, MetaFile]:
        """The entries that a snapshot of all of it has: no role is ever taken out, as readers refuse that."""
        before = {} if self.snapshot.best is None else self.snapshot.best.signed.meta
        signed = {f"{role}.json": found.best.meta for role, found in self.roles.items() if found.best is not None}
        return {**before, "targets.json": self.targets.meta, **signed}


@dataclass
class StateReader:
    """Reads the state out of a store. Versioned files never change, so each of them is read once.

    `pinned` are the bytes of the first root, which a machine that publishes keeps beside its keys. One that `rebuilds`
    looks at no snapshot or timestamp, as a thief of their key may have signed nonsense.
    """

    store: ObjectStore
    pinned: bytes | None = None
    rebuilds: bool = False
    _read: dict[str, bytes] = field(default_factory=dict)
    _roots: list[SignedFile[Root]] = field(default_factory=list)

    def roots(self) -> list[SignedFile[Root]]:
        """Return every root, each signed by the keys of the one before it and by its own; empty where none is."""
        while (data := self._bytes("root", len(self._roots) + 1)) is not None:
            file, before = read(Root, data), self._roots[-1:]
            if file is None or not self._follows(file, before):
                name = name_of("root", len(self._roots) + 1)
                raise SystemFailure(
                    f"{self.store.address}/{name}: expected a root that is signed by the keys of the one before it, "
                    "got another file; see who wrote it, and restore the one that was published"
                )
            self._roots.append(file)
        return list(self._roots)

    def root(self) -> SignedFile[Root]:
        """Return the newest root. Raises KeysError where there is no repository."""
        roots = self.roots()
        if not roots:
            raise KeysError(
                f"{self.store.address}: expected a signed repository, got none; make one with edgewright keys init"
            )
        return roots[-1]

    def state(self) -> State:
        """Return the state. Raises KeysError where a repository was only begun, SystemFailure where one is damaged."""
        root = self.root()
        shown = self.store.read(TIMESTAMP, most_bytes("timestamp"))
        timestamp = self._timestamp(root.signed, shown)
        snapshot = self._snapshot(root.signed, timestamp.best)
        meta = {} if snapshot.best is None else snapshot.best.signed.meta
        known = meta.get("targets.json")
        every = self._all(Targets, "targets", root.signed, known)
        candidates = [(each, self.roles_under(each.signed, meta)) for each in reversed(every.files)]
        if not candidates:
            raise self._incomplete(known)
        whole = [each for each in candidates if _is_whole(each[1], meta)]
        targets, roles = whole[0] if whole else candidates[0]
        newer = candidates[0][0] if candidates[0][0] is not targets else None
        return State(root, shown, timestamp, snapshot, targets, roles, newer, every.last)

    def roles_under(self, targets: Targets, meta: Mapping[str, MetaFile]) -> dict[str, Found[Targets]]:
        """Return the roles of the device profiles that a targets file delegates to, none older than in a snapshot."""
        roles = {} if targets.delegations is None else targets.delegations.roles or {}
        return {role: self.newest(Targets, role, targets, meta.get(f"{role}.json")) for role in roles}

    def newest(
        self, kind: type[Content], role: str, delegator: Root | Targets, known: MetaFile | None
    ) -> Found[Content]:
        """Return the newest trusted file of a role from a known version on."""
        found = self._all(kind, role, delegator, known)
        return Found(found.files[-1] if found.files else None, found.last)

    def offered(self, role: str) -> Targets | None:
        """Return a role as readers see it now; None where they see none."""
        shown = _trusted_timestamp(self.root().signed, self.store.read(TIMESTAMP, most_bytes("timestamp")))
        snapshot = None if shown is None else self._named(Snapshot, "snapshot", shown.signed.snapshot_meta)
        file = None if snapshot is None else self._named(Targets, role, snapshot.signed.meta.get(f"{role}.json"))
        return None if file is None else file.signed

    def every_targets(self) -> list[SignedFile[Targets]]:
        """Return every targets file that was ever created, signed or not."""
        found, version = [], 1
        while (data := self._bytes("targets", version)) is not None:
            file = read(Targets, data)
            found += [] if file is None else [file]
            version += 1
        return found

    def _timestamp(self, root: Root, shown: bytes | None) -> Found[Timestamp]:
        file = None if self.rebuilds else _trusted_timestamp(root, shown)
        start = 1 if file is None else file.version
        files, last = self._walk(
            Timestamp, "timestamp", start,
            lambda new, best: not self.rebuilds and is_trusted(new, "timestamp", root)
            and (best is None or new.signed.snapshot_meta.version >= best.signed.snapshot_meta.version),
        )  # fmt: skip
        if not files and file is not None:  # its copy under the version's own name is gone
            files = [file]
        return Found(files[-1] if files else None, last if file is None else max(last, file.version))

    def _snapshot(self, root: Root, timestamp: SignedFile[Timestamp] | None) -> Found[Snapshot]:
        known = None if timestamp is None else timestamp.signed.snapshot_meta
        files, last = self._walk(
            Snapshot, "snapshot", 1 if known is None else known.version,
            lambda new, best: not self.rebuilds and is_trusted(new, "snapshot", root)
            and (new.is_named_by(known) if best is None and known else best is None or _grows(best.signed, new.signed)),
        )  # fmt: skip
        if known is not None and not files:
            raise self._damaged(name_of("snapshot", known.version))
        return Found(files[-1] if files else None, last)

    def _all(
        self, kind: type[Content], role: str, delegator: Root | Targets, known: MetaFile | None
    ) -> "_Files[Content]":
        start = 1 if known is None else known.version
        files, last = self._walk(kind, role, start, lambda new, _: is_trusted(new, role, delegator))
        if known is not None and not self._is_there(role, known):
            raise self._damaged(name_of(role, start))
        return _Files(files, last)

    def _walk(
        self,
        kind: type[Content],
        role: str,
        start: int,
        accepts: Callable[[SignedFile[Content], SignedFile[Content] | None], bool],
    ) -> tuple[list[SignedFile[Content]], int]:
        """Read the versions of a role from one on; return those that are accepted, and the last number taken."""
        files: list[SignedFile[Content]] = []
        version = start
        while (data := self._bytes(role, version)) is not None:
            file = read(kind, data)
            if file is not None and file.version == version and accepts(file, files[-1] if files else None):
                files.append(file)
            version += 1
        return files, version - 1

    def trusted_before(self, role: str, delegator: Targets, meta: MetaFile | None) -> SignedFile[Targets] | None:
        """Return the last trusted file of a device's role before the one that a snapshot names; None for none."""
        for version in range(0 if meta is None else meta.version - 1, 0, -1):
            data = self._bytes(role, version)
            file = None if data is None else read(Targets, data)
            if file is not None and is_trusted(file, role, delegator):
                return file
        return None

    def _is_there(self, role: str, meta: MetaFile) -> bool:
        """Tell whether a file is there as another one names it, whoever has signed it."""
        try:
            meta.verify_length_and_hashes(self._bytes(role, meta.version) or b"")
        except LengthOrHashMismatchError:
            return False
        return True

    def _named(self, kind: type[Content], role: str, meta: MetaFile | None) -> SignedFile[Content] | None:
        """Return the file that a trusted one names by its digest."""
        data = None if meta is None else self._bytes(role, meta.version)
        file = None if data is None else read(kind, data)
        return file if file is not None and meta is not None and file.is_named_by(meta) else None

    def _bytes(self, role: str, version: int) -> bytes | None:
        name = name_of(role, version)
        if name not in self._read:
            data = self.store.read(name, most_bytes(role))
            if data is None:
                return None
            self._read[name] = data
        return self._read[name]

    def _follows(self, file: SignedFile[Root], before: list[SignedFile[Root]]) -> bool:
        """Tell whether a root is signed by itself and by the one before it; the first one must be the pinned one."""
        own = file.version == len(self._roots) + 1 and is_trusted(file, "root", file.signed)
        if not before:
            return own and self.pinned in (None, file.data)
        return own and is_trusted(file, "root", before[0].signed)

    def _incomplete(self, known: MetaFile | None) -> Exception:
        if known is not None:
            return self._damaged(name_of("targets", known.version))
        return KeysError(
            f"{self.store.address}: expected a whole repository, got one that was begun; say edgewright keys init again"
        )

    def _damaged(self, name: str) -> SystemFailure:
        return SystemFailure(
            f"{self.store.address}/{name}: expected the file that was published, signed by the keys that count, got "
            "another or none; restore it from a copy of the repository, such as a device's"
        )


@dataclass(frozen=True)
class _Files(Generic[Content]):
    files: list[SignedFile[Content]]
    last: int


def _trusted_timestamp(root: Root, data: bytes | None) -> SignedFile[Timestamp] | None:
    file = read(Timestamp, data) if data else None
    return file if file is not None and is_trusted(file, "timestamp", root) else None


def _is_whole(roles: Mapping[str, Found[Targets]], meta: Mapping[str, MetaFile]) -> bool:
    """Tell whether each role that a snapshot has already can be shown under the keys that count."""
    return all(found.best is not None or f"{role}.json" not in meta for role, found in roles.items())


def _grows(older: Snapshot, newer: Snapshot) -> bool:
    """Tell whether a snapshot takes nothing back, as readers ask for."""
    return all(name in newer.meta and newer.meta[name].version >= meta.version for name, meta in older.meta.items())

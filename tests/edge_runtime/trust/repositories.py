"""Repositories with real signatures, in the layout that publishers, carried folders and devices share."""

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from securesystemslib.signer import CryptoSigner, Signer
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Signed,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from edge_runtime.trust import NotThere, folder_fetch

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
"""The time in tests. It is not the machine's, so that metadata judged by the machine's clock is expired."""


def days(count: float) -> timedelta:
    """Return a length of time."""
    return timedelta(days=count)


class SignedRepository:
    """A repository in a folder: root 2 of 3, targets 2 of 2, one key for each device, the snapshot and the timestamp.

    `roles` holds the signed part of each role as it was written last, `keys` those who sign it, `life` how long it
    lives from `now` on. What a test changes there takes effect with the next `renew`, which makes a new version of
    roles and then a new snapshot and timestamp, as a publisher does.
    """

    def __init__(self, folder: Path, devices: Sequence[str] = ("gateway", "other"), now: datetime = NOW) -> None:
        self.folder = folder
        self.now = now
        self.signed_at: str | None = None
        self.life = {Root.type: days(365), Targets.type: days(180), Snapshot.type: days(14), Timestamp.type: days(3)}
        self.keys: dict[str, list[Signer]] = {Root.type: _keys(3), Targets.type: _keys(2)}
        self.roles: dict[str, Signed] = {
            Root.type: Root(1),
            Targets.type: Targets(1),
            Snapshot.type: Snapshot(1),
            Timestamp.type: Timestamp(1),
        }
        for role in (Snapshot.type, Timestamp.type, *map(role_of, devices)):
            self.keys[role] = _keys(1)
        for role in self.root.roles:
            for each in self.keys[role]:
                self.root.add_key(each.public_key, role)
        self.root.roles[Root.type].threshold = self.root.roles[Targets.type].threshold = 2
        self.targets().delegations = Delegations({}, {})
        for device in devices:
            self._delegate(device)
        (folder / "metadata").mkdir(parents=True)
        self.shipped = self.write(Root.type)
        for role in (Targets.type, *map(role_of, devices)):
            self.write(role)
        self.write_online()

    @property
    def root(self) -> Root:
        root = self.roles[Root.type]
        assert isinstance(root, Root)
        return root

    @property
    def snapshot(self) -> Snapshot:
        snapshot = self.roles[Snapshot.type]
        assert isinstance(snapshot, Snapshot)
        return snapshot

    @property
    def timestamp(self) -> Timestamp:
        timestamp = self.roles[Timestamp.type]
        assert isinstance(timestamp, Timestamp)
        return timestamp

    def targets(self, role: str = Targets.type) -> Targets:
        targets = self.roles[role]
        assert isinstance(targets, Targets)
        return targets

    def publish(self, data: bytes, model: str = "m", device: str = "gateway") -> str:
        """Publish a manifest and return its sha256."""
        return self.list_in(role_of(device), f"{model}/{device}/manifest.json", data)

    def list_in(self, role: str, path: str, data: bytes) -> str:
        """List a target in a role, whether its delegation allows the path or not; return its sha256."""
        digest = hashlib.sha256(data).hexdigest()
        parent, _, name = path.rpartition("/")
        (self.folder / "targets" / parent).mkdir(parents=True, exist_ok=True)
        (self.folder / "targets" / parent / f"{digest}.{name}").write_bytes(data)
        self.targets(role).targets[path] = TargetFile.from_data(path, data, ["sha256"])
        self.renew(role)
        return digest

    def renew(self, *roles: str) -> None:
        """Publish the next version of roles, of the snapshot and of the timestamp."""
        for role in roles:
            self.roles[role].version += 1
            self.write(role)
        self.snapshot.version += 1
        self.timestamp.version += 1
        self.write_online()

    def replace_key(self, role: str) -> Signer:
        """Revoke the first key of a role for a new one and return it; publish all that follows from it."""
        revoked, *others = self.keys[role]
        self.keys[role] = [*others, *_keys(1)]
        delegator = self.root if role in self.root.roles else self.targets()
        delegator.revoke_key(revoked.public_key.keyid, role)
        delegator.add_key(self.keys[role][-1].public_key, role)
        if role in self.root.roles:
            self.root.version += 1
            self.write(Root.type, [*self.keys[Root.type], *([revoked] if role == Root.type else [])])
            self.renew(*([role] if role == Targets.type else []))
        else:
            self.renew(Targets.type, role)
        return revoked

    def write_online(self) -> None:
        """Write the snapshot of all roles, and the timestamp that leads to it."""
        offline = [role for role in self.roles if role not in (Root.type, Snapshot.type, Timestamp.type)]
        self.snapshot.meta = {f"{role}.json": MetaFile(self.roles[role].version) for role in offline}
        self.write(Snapshot.type)
        self.write_timestamp()

    def write_timestamp(self) -> None:
        """Write the timestamp that leads to the snapshot, and says when it was signed."""
        self.timestamp.snapshot_meta = MetaFile(self.snapshot.version)
        self.timestamp.unrecognized_fields["signed_at"] = self.signed_at or f"{self.now:%Y-%m-%dT%H:%M:%SZ}"
        self.write(Timestamp.type)

    def write(self, role: str, keys: Sequence[Signer] | None = None) -> bytes:
        """Sign a role and write its file, whatever is there; return its bytes."""
        signed = self.roles[role]
        signed.expires = self.now + self.life.get(role, days(90))
        metadata = Metadata(signed)  # type: ignore[type-var]
        for each in keys or self.keys[role]:
            metadata.sign(each, append=True)
        data = metadata.to_bytes()
        for path in self.files(role):
            path.write_bytes(data)
        return data

    def files(self, role: str) -> list[Path]:
        """Return the files of the newest version of a role, those that devices ask for first."""
        named = self.folder / "metadata" / f"{self.roles[role].version}.{role}.json"
        return [named.with_name("timestamp.json"), named] if role == Timestamp.type else [named]

    def _delegate(self, device: str) -> None:
        role, targets = role_of(device), self.targets()
        assert targets.delegations is not None and targets.delegations.roles is not None
        self.roles[role] = Targets(1)
        targets.delegations.roles[role] = DelegatedRole(role, [], 1, True, [f"*/{device}/manifest.json"])
        for each in self.keys[role]:
            targets.add_key(each.public_key, role)


class Served:
    """A Fetch of a repository's folder that notes what was asked for, and lies where a test says so."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        self.instead: dict[str, bytes | Exception | Callable[[int], bytes]] = {}
        self._real = folder_fetch(folder)

    def __call__(self, path: str, most_bytes: int, /) -> bytes:
        self.asked.append(path)
        lie = self.instead.get(path)
        if isinstance(lie, Exception):
            raise lie
        if callable(lie):
            return lie(most_bytes)
        return self._real(path, most_bytes) if lie is None else lie

    def hide(self, path: str) -> None:
        """Answer as if a file was not there."""
        self.instead[path] = NotThere(f"no {path}")


def role_of(device: str) -> str:
    """Return the name of the role that is trusted with a device's manifests."""
    return f"device-{device}"


def _keys(count: int) -> list[Signer]:
    return [CryptoSigner.generate_ed25519() for _ in range(count)]

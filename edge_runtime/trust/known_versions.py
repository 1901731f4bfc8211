"""Versions that a device already knows: none may fall, even where a part of the device's metadata is damaged.

python-tuf compares with the file of the same role alone, so a file that is lost takes its protection with it. Here
each file that is whole speaks for all that it names. As in TUF, a version binds while the keys that signed it are
trusted: where a new root has other keys for the timestamp or the snapshot, versions may start again.
"""

from collections.abc import Iterator
from urllib.parse import unquote

from tuf.api.metadata import Root, Snapshot, Targets, Timestamp

from edge_runtime.errors import TrustError
from edge_runtime.trust.metadata_store import Files, root_version
from edge_runtime.trust.signed_files import read_root, read_signed

Bound = tuple[str, int, int]
"""A role, the lowest version of it that is allowed, and the version that was verified."""


def newest_root(files: Files) -> Root | None:
    """Return the newest root among files that is undamaged."""
    names = sorted(filter(root_version, files), key=root_version, reverse=True)
    return next((root for name in names if (root := read_root(files[name]))), None)


def check_not_older(known: Files, stamp: bytes | None, verified: Files, shipped: Root) -> None:
    """Raise TrustError where verified metadata is older than what the known files and the stamp of time tell."""
    root = newest_root(verified) or shipped
    for role, lowest, version in _bounds(known, stamp, verified, root, shipped):
        if version < lowest:
            raise TrustError(
                f"The repository must not fall behind what this device has verified: expected version {lowest} or "
                f"later of {role}, got {version}; fetch from a complete and current copy of the repository."
            )


def _bounds(known: Files, stamp: bytes | None, verified: Files, root: Root, shipped: Root) -> Iterator[Bound]:
    before = newest_root(known) or shipped
    if not _has_other_anchor(known, shipped):
        yield Root.type, before.version, root.version
    timestamp = read_signed(Timestamp, verified.get("timestamp.json"), root)
    if timestamp is None:
        return
    for data in (known.get("timestamp.json"), stamp):
        if earlier := read_signed(Timestamp, data, root):
            yield Timestamp.type, earlier.version, timestamp.version
            yield Snapshot.type, earlier.snapshot_meta.version, timestamp.snapshot_meta.version
    if all(_keys(before, role) == _keys(root, role) for role in (Timestamp.type, Snapshot.type)):
        yield from _bounds_beside_timestamps(known, verified, root, timestamp)


def _bounds_beside_timestamps(known: Files, verified: Files, root: Root, timestamp: Timestamp) -> Iterator[Bound]:
    if snapshot := read_signed(Snapshot, known.get("snapshot.json"), root):
        yield Snapshot.type, snapshot.version, timestamp.snapshot_meta.version
        return  # python-tuf has compared the versions that it names
    targets = read_signed(Targets, verified.get("targets.json"), root)
    if targets is None:
        return
    if earlier := read_signed(Targets, known.get("targets.json"), root):
        yield Targets.type, earlier.version, targets.version
    for name in known.keys() & verified.keys():
        role = unquote(name.removesuffix(".json"))
        before, now = (read_signed(Targets, files[name], targets, role) for files in (known, verified))
        if before and now:
            yield role, before.version, now.version


def _has_other_anchor(known: Files, shipped: Root) -> bool:
    """Tell whether the known roots begin with another root than the shipped one: they are of another repository."""
    anchor = read_root(known.get(f"root_history/{shipped.version}.root.json"))
    return anchor is not None and anchor != shipped


def _keys(root: Root, role: str) -> tuple[int, frozenset[str]]:
    return root.roles[role].threshold, frozenset(root.roles[role].keyids)

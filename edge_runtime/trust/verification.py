"""The order of trust: python-tuf runs on a copy, what it verified is held against what is known, then made durable.

It runs at the clock's time. Where the floor of time is later, it runs again at the floor, with the same files and
without another request. That comes second because only the newest root tells whose floor still holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tuf.api.metadata import Root, TargetFile

from edge_runtime.errors import TrustError
from edge_runtime.trust.known_versions import check_not_older, newest_root
from edge_runtime.trust.metadata_store import MetadataStore
from edge_runtime.trust.signed_files import read_root
from edge_runtime.trust.time_floor import TimeFloor, latest_floor, least_time
from edge_runtime.trust.tuf_session import MOST_ROTATIONS, FilesOnce, UpdaterRun, run_updater


@dataclass(frozen=True)
class Verified:
    """The newest root, and what the metadata says of the targets that were asked for."""

    root: Root
    targets: list[TargetFile]


def verify(store: MetadataStore, root: bytes, files: FilesOnce, paths: Sequence[str], clock: datetime) -> Verified:
    """Refresh the metadata in a store whose lock is held, and look up target paths.

    Raises TrustError and UpdateError; what was verified until then is durable. The floor of time moves only where all
    metadata was verified at the new floor: a stamp of a wrong clock, after which everything is expired, moves nothing.
    """
    shipped = read_root(root)
    if shipped is None:
        raise TrustError(
            "The root that this device was shipped with must be TUF metadata that enough of its own keys signed, got "
            "something else; install the root of the repository."
        )
    known, stamp = store.read(), store.read_stamp()
    run = run_updater(store.lay_out(known), root, files, paths, clock)
    floor = _floor(store, stamp, shipped)
    least = least_time(floor, newest_root(store.read_scratch()) or shipped)
    if not run.error and least and least > clock:
        run = run_updater(store.lay_out(known), root, files, paths, least)
    verified = store.read_scratch()
    newest = newest_root(verified) or shipped
    try:
        check_not_older(known, stamp, verified, shipped)
        _check_rotations(newest, shipped)
    except TrustError:
        if run.error:
            raise run.error  # noqa: B904 - it came first, and has a cause of its own
        raise
    store.commit(verified)
    if run.error:
        raise run.error
    if floor:
        store.keep_stamp(floor.stamp)
    return Verified(newest, _all_listed(run, paths))


def _floor(store: MetadataStore, stamp: bytes | None, shipped: Root) -> TimeFloor | None:
    """Return the floor after a run: of the timestamp that the run left, and of the one that was kept before."""
    verified = store.read_scratch()
    return latest_floor([stamp, verified.get("timestamp.json")], newest_root(verified) or shipped)


def _check_rotations(newest: Root, shipped: Root) -> None:
    if newest.version - shipped.version >= MOST_ROTATIONS:
        raise TrustError(
            f"The repository's root may be at most {MOST_ROTATIONS - 1} versions newer than the one that this device "
            f"was shipped with, version {shipped.version}, got version {newest.version} or later; ship a newer root."
        )


def _all_listed(run: UpdaterRun, paths: Sequence[str]) -> list[TargetFile]:
    for path, target in zip(paths, run.targets, strict=True):
        if target is None:
            raise TrustError(
                f"The repository must list {path!r}, got metadata that does not; publish it, or correct the names "
                "of the model and the device."
            )
    return [target for target in run.targets if target]

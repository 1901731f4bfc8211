"""Carried releases: the smallest folder from which a device installs what it is offered now.

A device's own client of TUF goes through the repository, and what it fetches is what is carried: all roots, the
timestamp, the snapshot, targets, the role of the device and the manifest. So nothing is missing that a device asks for,
and no other device's metadata go along.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from edge_runtime.bundle import (
    BLOBS,
    Blob,
    Bundle,
    Manifest,
    check_blob,
    decode_manifest,
    manifest_path,
    verify_bundle,
)
from edge_runtime.files import fsync_directory, make_directories, write_synced
from edge_runtime.trust import Fetch, NotThere, TrustedTarget, folder_fetch, trust_state, trusted_manifest
from tasks.errors import PublishError, SystemFailure
from tasks.repository import ObjectStore, SignedRepository

FIRST_ROOT = "metadata/1.root.json"
_MOST_ROOT_BYTES = 1 << 20


@dataclass(frozen=True)
class CarriedRelease:
    """A verified release in a folder of its own; no device takes it once the first of its metadata `expires`."""

    folder: Path
    bundle: Bundle
    expires: datetime

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(path.stat().st_size for path in self.files())

    def files(self) -> Iterator[Path]:
        """Yield all files, in their order."""
        yield from sorted(path for path in self.folder.rglob("*") if path.is_file())


def carry(
    repository: SignedRepository, model: str, device: str, folder: Path, *, documents: bool = False
) -> CarriedRelease:
    """Write what a device is offered of a model into a new folder, verify it there, and sync it.

    With `documents`, the bill of materials and the attestation go along. Raises PublishError where nothing is signed or
    offered, TrustError where the repository must not be trusted, and SystemFailure.
    """
    root = _first_root(repository)
    if repository.targets_now(model, device) is None:
        raise PublishError(
            f"{repository.store.address}: expected a release of {model} that is offered to devices of the profile "
            f"{device}, got none; publish one, or correct the names"
        )
    folder.mkdir()
    _write(folder, FIRST_ROOT, root)
    target = _trusted(model, device, root, _recording(repository.store, folder))
    manifest = decode_manifest(target.data)
    _fetch_blobs(repository.store, folder, (*manifest.blobs, *(manifest.documents if documents else ())))
    _sync_folders(folder)
    return _verified(folder, root, manifest, target)


def _first_root(repository: SignedRepository) -> bytes:
    """Return the root from which trust begins: the one that this machine keeps, else the first of the repository."""
    if not repository.is_begun():
        raise PublishError(
            f"{repository.store.address}: expected a signed repository, got none; nothing there would be taken by a "
            "device. Begin with edgewright keys init"
        )
    return repository.reader.roots()[0].data


def _recording(store: ObjectStore, folder: Path) -> Fetch:
    """Return a Fetch from a store that keeps a copy of each file."""

    def fetch(path: str, most_bytes: int, /) -> bytes:
        data = store.read(path, most_bytes)
        if data is None:
            raise NotThere(f"{store.address}/{path}: expected a file of the repository, got none; publish again")
        _write(folder, path, data)
        return data

    return fetch


def _trusted(model: str, device: str, root: bytes, fetch: Fetch) -> TrustedTarget:
    """Return the manifest as a device verifies it that never saw the repository."""
    with tempfile.TemporaryDirectory(prefix="edgewright-") as metadata:
        return trusted_manifest(metadata, root, fetch, model, device)


def _fetch_blobs(store: ObjectStore, folder: Path, blobs: Sequence[Blob]) -> None:
    make_directories(folder / BLOBS)
    for blob in {each.sha256: each for each in blobs}.values():
        path = folder / BLOBS / blob.sha256
        if not store.fetch(f"{BLOBS}/{blob.sha256}", path):
            raise SystemFailure(
                f"{store.address}/{BLOBS}/{blob.sha256}: expected the blob {blob.name} of what is offered, got none; "
                "publish the version again"
            )
        with path.open("rb") as file:
            os.fsync(file.fileno())
        check_blob(path, blob)


def _verified(folder: Path, root: bytes, manifest: Manifest, target: TrustedTarget) -> CarriedRelease:
    """Verify the folder as a device does that is given nothing else."""
    with tempfile.TemporaryDirectory(prefix="edgewright-") as metadata:
        found = trusted_manifest(metadata, root, folder_fetch(folder), manifest.model, manifest.device)
        expires = min(role.expires for role in trust_state(metadata).roles.values())
    if found != target:
        raise SystemFailure(f"{folder}: expected the manifest {target.sha256}, got {found.sha256}; export again")
    bundle = verify_bundle(manifest_path(folder, manifest.model, manifest.device, found.sha256))
    return CarriedRelease(folder, bundle, expires)


def _write(folder: Path, name: str, data: bytes) -> None:
    path = folder / name
    make_directories(path.parent)
    write_synced(path, data)


def _sync_folders(folder: Path) -> None:
    for path in sorted((each for each in folder.rglob("*") if each.is_dir()), reverse=True):
        fsync_directory(path)
    fsync_directory(folder)

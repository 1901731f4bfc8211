"""Writing a bundle: no reader ever sees a part of one, even if the writer is killed at any moment."""

import fcntl
import logging
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from edge_runtime.bundle.encoding import digest_of, encode_manifest
from edge_runtime.bundle.manifest import Manifest
from edge_runtime.bundle.parts import Blob
from edge_runtime.bundle.reader import BLOBS, check_blob, check_weights, manifest_path
from edge_runtime.errors import BundleError
from edge_runtime.files import copy_synced, fsync_directory, make_directories, sha256_of, write_synced

_TEMPORARY = ".tmp-"
_log = logging.getLogger(__name__)


def blobs_of(files: Mapping[str, Path]) -> tuple[Blob, ...]:
    """Return files as blobs, by name. Raises BundleError for a file that cannot be read."""
    try:
        return tuple(Blob(name, sha256_of(path), Path(path).stat().st_size) for name, path in sorted(files.items()))
    except OSError as error:
        raise BundleError(f"The bundle cannot be written: {error}. Give the files of the model.") from error


def write_bundle(root: Path | str, manifest: Manifest, files: Mapping[str, Path]) -> Path:
    """Write a bundle into a folder of bundles, and return the path of its manifest.

    `files` has each file of the manifest by its name; edge_runtime.model_files.model_files gives
    those of a model. A blob is shared with the bundles that are there already. Blobs, and all names on the way to them
    and to the manifest, are synced before the manifest appears, which it does in one step. What exists already is
    verified and left as it is; what is damaged is replaced by an intact copy, and a warning is logged. Leftovers of a
    killed writer are removed. A folder has one writer at a time.
    Raises BundleError for a file that is missing or changes, weights that a graph names and the manifest does not, and
    a failing disk.
    """
    root, named = Path(root), manifest.files
    missing = [blob.name for blob in named if blob.name not in files]
    if missing:
        raise BundleError(f"The bundle of {manifest.model} needs the files {missing} too; give each blob by its name.")
    try:
        check_weights(files, manifest)
        target = manifest_path(root, manifest.model, manifest.device, digest_of(manifest))
        for folder in (root / BLOBS, target.parent):
            make_directories(folder)
        for folder in (root, target.parents[2], target.parents[1]):
            fsync_directory(folder)  # whoever made a folder in it may have died before its name was durable
        with only_writer(root):
            _remove_leftovers(root / BLOBS, target.parent)
            for blob in named:
                put_blob(root, blob, files[blob.name])
            fsync_directory(root / BLOBS)  # every name, before the manifest that names them
            _put_manifest(target, encode_manifest(manifest))
    except OSError as error:
        raise BundleError(
            f"The bundle of {manifest.model} for {manifest.device} cannot be written to {root}: {error}. "
            "What was there before is untouched; cure the cause and publish again."
        ) from error
    return target


@contextmanager
def only_writer(root: Path) -> Iterator[None]:
    """Wait until nobody else writes into a folder of bundles, and keep others waiting; the folder of blobs is there."""
    descriptor = os.open(root / BLOBS, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # the kernel lets go of it when a writer is killed
        yield
    finally:
        os.close(descriptor)


def put_blob(root: Path, blob: Blob, source: Path) -> None:
    """Copy a file into a folder's blobs under its sha256, synced; its name is durable once the folder is synced.

    Call it under only_writer: the next writer removes the temporary files of everybody else.
    Raises BundleError for a file that is not the blob, OSError for a failing disk.
    """
    final = root / BLOBS / blob.sha256
    if os.path.lexists(final):
        if _is_intact(final, blob):
            return
        _log.warning("Replacing the damaged blob %s by an intact copy; look after the disk.", blob.sha256)
    with _replacing(final) as temporary:
        if copy_synced(source, temporary) != blob.sha256:
            raise BundleError(f"The file {source} changed while it was published; publish it again.")


def _is_intact(path: Path, blob: Blob) -> bool:
    try:
        check_blob(path, blob)
    except BundleError:
        return False
    return True


def _put_manifest(target: Path, data: bytes) -> None:
    if target.is_symlink() or not target.is_file() or target.read_bytes() != data:
        with _replacing(target) as temporary:
            write_synced(temporary, data)
    fsync_directory(target.parent)  # also where it is there: its writer may have died between its rename and this


@contextmanager
def _replacing(final: Path) -> Iterator[Path]:
    """Give a temporary name beside a file, and put what was written there, synced, in the file's place in one step."""
    temporary = final.with_name(f"{_TEMPORARY}{secrets.token_hex(8)}")
    try:
        yield temporary
        temporary.chmod(0o444)
        temporary.replace(final)
    finally:
        temporary.unlink(missing_ok=True)


def _remove_leftovers(*folders: Path) -> None:
    for folder in folders:
        for leftover in folder.glob(_TEMPORARY + "*"):
            leftover.unlink()

"""Writing a bundle: no reader ever sees a part of one, even if the writer is killed at any moment."""

import fcntl
import logging
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
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

    `files` has each blob and each document of the manifest by its name; edge_runtime.model_files.model_files gives
    those of a model. A blob is shared with the bundles that are there already. Blobs are synced before the manifest
    that names them appears; it appears in one step. What exists already is verified and left as it is; what is damaged
    is replaced by an intact copy, and a warning is logged. Leftovers of a killed writer are removed. A folder has one
    writer at a time.
    Raises BundleError for a file that is missing or changes, weights that the graph names and the manifest does not,
    and a failing disk.
    """
    root = Path(root)
    try:
        check_weights(files[manifest.entry], manifest)
        make_directories(root / BLOBS)
        target = manifest_path(root, manifest.model, manifest.device, digest_of(manifest))
        make_directories(target.parent)
        with _only_writer(root / BLOBS):
            _remove_leftovers(root / BLOBS, target.parent)
            for blob in (*manifest.blobs, *manifest.documents):
                put_blob(root, blob, files[blob.name])
            fsync_directory(root / BLOBS)  # every name, before the manifest that names them
            _put_manifest(target, encode_manifest(manifest))
    except OSError as error:
        raise BundleError(
            f"The bundle of {manifest.model} for {manifest.device} cannot be written to {root}: {error}. "
            "What was there before is untouched; cure the cause and publish again."
        ) from error
    return target


def put_blob(root: Path, blob: Blob, source: Path) -> None:
    """Copy a file into a folder's blobs under its sha256, synced; its name is durable once the folder is synced.

    Raises BundleError for a file that is not the blob, OSError for a failing disk.
    """
    final = root / BLOBS / blob.sha256
    if os.path.lexists(final):
        if _is_intact(final, blob):
            return
        _log.warning("Replacing the damaged blob %s by an intact copy; look after the disk.", blob.sha256)
    temporary = final.with_name(f"{_TEMPORARY}{secrets.token_hex(8)}")
    try:
        if copy_synced(source, temporary) != blob.sha256:
            raise BundleError(f"The file {source} changed while it was published; publish it again.")
        temporary.chmod(0o444)
        temporary.replace(final)
    finally:
        temporary.unlink(missing_ok=True)


def _is_intact(path: Path, blob: Blob) -> bool:
    with suppress(BundleError):
        check_blob(path, blob)
        return True
    return False


def _put_manifest(target: Path, data: bytes) -> None:
    if not target.is_symlink() and target.is_file() and target.read_bytes() == data:
        fsync_directory(target.parent)  # the writer before may have died between its rename and this
        return
    temporary = target.with_name(f"{_TEMPORARY}{secrets.token_hex(8)}")
    try:
        write_synced(temporary, data)
        temporary.chmod(0o444)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    fsync_directory(target.parent)


@contextmanager
def _only_writer(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # the kernel lets go of it when a writer is killed
        yield
    finally:
        os.close(descriptor)


def _remove_leftovers(*folders: Path) -> None:
    for folder in folders:
        for leftover in folder.glob(_TEMPORARY + "*"):
            leftover.unlink()

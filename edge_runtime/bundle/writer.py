"""Writing a bundle: no reader ever sees a part of one, even if the writer is killed at any moment."""

import fcntl
import logging
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from edge_runtime.bundle.manifest import Blob, Manifest, RuntimeRange, digest_of, encode_manifest
from edge_runtime.bundle.reader import BLOBS, MANIFEST, check_weights, verify_bundle
from edge_runtime.errors import BundleError
from edge_runtime.files import copy_synced, fsync_directory, make_directories, sha256_of, write_synced
from edge_runtime.settings import SessionSettings, TensorSpec

_TEMPORARY = ".tmp-"
_log = logging.getLogger(__name__)


def write_bundle(
    target: Path | str,
    *,
    model: str,
    version: str,
    device: str,
    entry: str,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    session: SessionSettings,
    onnxruntime: RuntimeRange,
    lineage: Mapping[str, str],
    files: Mapping[str, Path],
    sha256: str | None = None,
) -> Path:
    """Write `<target>/<model>/<device>/<digest>/` from files by blob name, and return that folder.

    The files are those of edge_runtime.model_files.model_files: the graph, and its weights by their sha256. Every
    bundle has copies of its own. A hard link would save bytes, but a block that goes bad would then damage the bundle
    before this one too, which is the way back.
    The content is synced under a temporary name on the same file system, renamed, and the rename synced. A bundle
    that exists already is verified and left as it is; if it is damaged, an intact copy replaces it and a warning is
    logged. Leftovers of a killed writer of the same device are removed. Each device has one writer at a time.
    `sha256` is that of the entry, where it is known: the graph names its weights, so another model cannot have it.
    Raises BundleError for names that are no path components, a file that is missing or changes, another entry, weights
    that the graph names and the files lack, and a failing disk.
    """
    try:
        manifest = Manifest(
            model, version, device, entry, _describe(files), tuple(inputs), tuple(outputs), session, onnxruntime,
            dict(lineage),
        )  # fmt: skip
        if sha256 is not None:
            _check_entry(manifest, sha256)
        check_weights(files[entry], manifest)
        folder = Path(target) / model / device
        make_directories(folder)
        with _only_writer(folder):
            _remove_leftovers(folder)
            return _install(folder, manifest, files)
    except OSError as error:
        raise BundleError(
            f"The bundle of {model} for {device} cannot be written to {target}: {error}. "
            "What was there before is untouched; cure the cause and publish again."
        ) from error


def _check_entry(manifest: Manifest, sha256: str) -> None:
    found = next(blob.sha256 for blob in manifest.blobs if blob.name == manifest.entry)
    if found != sha256:
        raise BundleError(
            f"The entry {manifest.entry} has the sha256 {found}, not {sha256}: it is another model, or was changed "
            "since. Nothing was written; publish the model that was measured."
        )


def _describe(files: Mapping[str, Path]) -> tuple[Blob, ...]:
    return tuple(Blob(name, sha256_of(path), Path(path).stat().st_size) for name, path in sorted(files.items()))


@contextmanager
def _only_writer(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # the kernel lets go of it when a writer is killed
        yield
    finally:
        os.close(descriptor)


def _remove_leftovers(folder: Path) -> None:
    for leftover in folder.glob(_TEMPORARY + "*"):
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()


def _install(folder: Path, manifest: Manifest, files: Mapping[str, Path]) -> Path:
    final = folder / digest_of(manifest)
    if os.path.lexists(final) and _is_intact(final):
        fsync_directory(folder)  # the writer before may have died between its rename and this
        return final
    temporary = folder / f"{_TEMPORARY}{secrets.token_hex(8)}"
    try:
        _write_contents(temporary, manifest, files)
        _rename(temporary, final)
    finally:
        _remove_leftovers(folder)
    return final


def _is_intact(final: Path) -> bool:
    try:
        verify_bundle(final)
    except BundleError as error:
        _log.warning("Replacing a damaged bundle by an intact copy; look after the disk. %s", error)
        return False
    return not final.is_symlink()


def _write_contents(temporary: Path, manifest: Manifest, files: Mapping[str, Path]) -> None:
    blobs = temporary / BLOBS
    blobs.mkdir(parents=True)
    for blob in manifest.blobs:
        path = blobs / blob.sha256
        if path.exists():
            continue  # two names for one content
        if copy_synced(files[blob.name], path) != blob.sha256:
            raise BundleError(f"The file {files[blob.name]} changed while it was published; publish it again.")
        path.chmod(0o444)
    write_synced(temporary / MANIFEST, encode_manifest(manifest))
    (temporary / MANIFEST).chmod(0o444)
    fsync_directory(blobs)
    fsync_directory(temporary)


def _rename(temporary: Path, final: Path) -> None:
    if os.path.lexists(final):
        final.rename(final.with_name(f"{_TEMPORARY}damaged-{secrets.token_hex(8)}"))
    temporary.rename(final)
    fsync_directory(final.parent)

"""Reading a bundle: every byte is verified before anything in the bundle is used, and nothing but its blobs is used."""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.bundle.manifest import MAX_BYTES, Blob, Manifest, decode_manifest
from edge_runtime.errors import BundleError, SessionError
from edge_runtime.files import open_regular
from edge_runtime.model_files import weight_names

MANIFEST = "manifest.json"
BLOBS = "blobs"


@dataclass(frozen=True)
class Bundle:
    """A verified bundle: its folder, its digest and its manifest."""

    path: Path
    digest: str
    manifest: Manifest

    @property
    def entry_path(self) -> Path:
        """The ONNX graph to run."""
        return self.blob_path(self.manifest.entry)

    def blob_path(self, name: str) -> Path:
        """Return the path of a blob by its name in the manifest; an unknown name is a BundleError."""
        for blob in self.manifest.blobs:
            if blob.name == name:
                return self.path / BLOBS / blob.sha256
        raise BundleError(
            f"The bundle {self.digest} has no blob {name!r}, only {[b.name for b in self.manifest.blobs]}."
        )


def read_bundle(path: Path | str) -> Bundle:
    """Verify a bundle in full for running it here, and return it.

    Raises BundleError as verify_bundle does, and where the manifest does not name this process's ONNX Runtime.
    """
    from onnxruntime import __version__ as running

    bundle = verify_bundle(path)
    if not bundle.manifest.onnxruntime.holds(running):
        raise BundleError(
            f"The bundle {bundle.digest} needs ONNX Runtime {bundle.manifest.onnxruntime}, this is {running}: install "
            "such a version, or publish a model that was measured with this one."
        )
    return bundle


def verify_bundle(path: Path | str) -> Bundle:
    """Verify every byte of a bundle and return it; all blobs are hashed, because a damaged one can be silently wrong.

    The path may be a link: what counts is the folder that it leads to. Inside the folder no link is followed.
    Raises BundleError when the folder's name is not the manifest's sha256, for a manifest that this runtime does not
    understand, for a blob that is missing, no regular file, of another size or of another sha256, for anything beside
    the blobs, and for a graph that names weights which the manifest does not.
    """
    folder = _resolved(path)
    data = _manifest_bytes(folder)
    digest = hashlib.sha256(data).hexdigest()
    if digest != folder.name:
        raise BundleError(
            f"The bundle {folder} is damaged or renamed: its manifest has the digest {digest}, "
            f"the folder is named {folder.name}. Fetch or publish it again."
        )
    manifest = decode_manifest(data)
    _check_folder(folder / BLOBS, manifest)
    for blob in manifest.blobs:
        _check_blob(folder / BLOBS / blob.sha256, blob)
    bundle = Bundle(folder, digest, manifest)
    check_weights(bundle.entry_path, manifest)
    return bundle


def check_weights(graph: Path, manifest: Manifest) -> None:
    """Raise BundleError unless a graph names no weights but blobs of the manifest."""
    try:
        missing = set(weight_names(graph)) - {blob.sha256 for blob in manifest.blobs}
    except SessionError as error:
        raise BundleError(f"The entry {manifest.entry} cannot be run: {error}") from error
    if missing:
        raise BundleError(
            f"The entry {manifest.entry} names weights that are no blobs of this manifest: "
            f"{', '.join(sorted(missing))}. Publish the model again with all of its files."
        )


def read_manifest(folder: Path | str) -> Manifest:
    """Read the manifest of a folder and nothing else of it; BundleError where it is none that read_bundle takes."""
    return decode_manifest(_manifest_bytes(Path(folder)))


def _resolved(path: Path | str) -> Path:
    try:
        return Path(path).resolve()
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle, and a name that no file system has
        raise BundleError(f"{str(path)!r} is no bundle: it leads to no folder ({error}).") from error


def _manifest_bytes(folder: Path) -> bytes:
    try:
        with open_regular(folder / MANIFEST) as file:
            return file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BundleError(f"{folder} is no bundle: its {MANIFEST} cannot be read ({reason}).") from error


def _check_folder(blobs: Path, manifest: Manifest) -> None:
    """Raise BundleError unless the folder of blobs is one, and no link, and holds the manifest's blobs alone."""
    known = {blob.sha256 for blob in manifest.blobs}
    try:
        if not stat.S_ISDIR(os.lstat(blobs).st_mode):
            raise BundleError(f"{blobs} must be a folder, not a link or a file; fetch the bundle again.")
        with os.scandir(blobs) as entries:
            unknown = next((entry.name for entry in entries if entry.name not in known), None)
    except OSError as error:
        raise BundleError(f"{blobs} cannot be read ({error.strerror}): fetch the bundle again.") from error
    if unknown is not None:
        raise BundleError(f"{blobs} holds {unknown!r}, which the manifest does not name; fetch the bundle again.")


def _check_blob(path: Path, blob: Blob) -> None:
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size != blob.size:
                raise BundleError(
                    f"The blob {blob.name} ({path}) has {size} bytes, the manifest says {blob.size}: "
                    "it is damaged, fetch or publish the bundle again."
                )
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BundleError(
            f"The blob {blob.name} ({path}) cannot be read ({error.strerror}): fetch or publish the bundle again."
        ) from error
    if found != blob.sha256:
        raise BundleError(
            f"The blob {blob.name} has the sha256 {found}, the manifest says {blob.sha256}: "
            "it is damaged, fetch or publish the bundle again."
        )

"""Reading a bundle: every byte is verified before anything in the bundle is used, and nothing but its blobs is used."""

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import edge_runtime
from edge_runtime import UNKNOWN
from edge_runtime.bundle.encoding import MAX_BYTES, check_length, decode_manifest
from edge_runtime.bundle.manifest import Manifest
from edge_runtime.bundle.parts import Blob, check_component, numbers_of
from edge_runtime.errors import BundleError, SessionError
from edge_runtime.files import open_regular
from edge_runtime.model_files import HeadGraph, weight_names
from edge_runtime.onnxruntime_packages import onnxruntime_version

TARGETS = "targets"
BLOBS = "blobs"
MANIFEST = ".manifest.json"
"""End of a manifest's name, after its sha256."""


def manifest_path(root: Path, model: str, device: str, digest: str) -> Path:
    """Return where a folder of bundles has a manifest."""
    return root / TARGETS / model / device / f"{digest}{MANIFEST}"


def manifests_of(root: Path, model: str, device: str) -> list[Path]:
    """Return the paths of all manifests of a model for a device class, by digest; nothing of them is read."""
    check_component("model name", model)
    check_component("device name", device)
    folder = root / TARGETS / model / device
    return sorted(path for path in folder.glob(f"*{MANIFEST}") if not path.name.startswith("."))


@dataclass(frozen=True)
class Bundle:
    """A verified bundle: the path of its manifest, its digest and its manifest."""

    path: Path
    digest: str
    manifest: Manifest

    @property
    def root(self) -> Path:
        """The folder of bundles that holds it."""
        return _root_of(self.path)

    @property
    def entry_path(self) -> Path:
        """The ONNX graph to run; the backbone, where there are heads."""
        return self.blob_path(self.manifest.entry)

    @property
    def heads(self) -> tuple[HeadGraph, ...]:
        """The graphs of the heads."""
        return tuple(HeadGraph(head.name, self.blob_path(head.graph), head.outputs) for head in self.manifest.heads)

    def blob_path(self, name: str) -> Path:
        """Return the path of a blob by its name in the manifest; an unknown name is a BundleError."""
        return self.root / BLOBS / self.manifest.blob(name).sha256


def read_bundle(path: Path | str) -> Bundle:
    """Verify a bundle in full for running it here, and return it.

    Raises BundleError as verify_bundle does, and where the manifest does not name this process's ONNX Runtime.
    """
    bundle = verify_bundle(path)
    check_runs_here(bundle.manifest)
    return bundle


def check_runs_here(manifest: Manifest) -> None:
    """Raise BundleError where a manifest needs another ONNX Runtime than this process's, or a newer edge_runtime."""
    running = onnxruntime_version()
    if numbers_of(edge_runtime.__version__) < numbers_of(manifest.runtime) and edge_runtime.__version__ != UNKNOWN:
        raise BundleError(
            f"The bundle of {manifest.model} needs edge_runtime {manifest.runtime} or later, this is "
            f"{edge_runtime.__version__}: install a newer one."
        )
    if not manifest.onnxruntime.holds(running):
        raise BundleError(
            f"The bundle of {manifest.model} needs ONNX Runtime {manifest.onnxruntime}, this is {running}: install "
            "such a version, or publish a model that was measured with this one."
        )


def verify_bundle(path: Path | str) -> Bundle:
    """Verify every byte of a bundle by the path of its manifest, and return it.

    All blobs are hashed, because a damaged one can be silently wrong. The path may be a link: what counts is the file
    that it leads to, and the folder of bundles around that. Inside the folder no link is followed.
    Raises BundleError when the file's name is not the manifest's sha256, for a manifest that this runtime does not
    understand or that lies under another model or device, for a blob that is missing, no regular file, of another size
    or of another sha256, and for a graph that names weights which the manifest does not.
    """
    bundle = identify_bundle(path)
    _check_folder(bundle.root / BLOBS)
    for blob in bundle.manifest.blobs:
        check_blob(bundle.root / BLOBS / blob.sha256, blob)
    check_weights({name: bundle.blob_path(name) for name in bundle.manifest.graphs}, bundle.manifest)
    return bundle


def identify_bundle(path: Path | str) -> Bundle:
    """Read the manifest of a bundle, verified by its name and its place; the blobs are not looked at.

    Raises BundleError as verify_bundle does for manifests.
    """
    file = _resolved(path)
    data = _manifest_bytes(file)
    digest = hashlib.sha256(data).hexdigest()
    if file.name != f"{digest}{MANIFEST}":
        raise BundleError(
            f"The bundle {file} is damaged or renamed: its manifest has the digest {digest}. Fetch or publish it again."
        )
    manifest = decode_manifest(data)
    if file != manifest_path(_root_of(file), manifest.model, manifest.device, digest):
        raise BundleError(
            f"The bundle {file} is of {manifest.model} for {manifest.device}, and lies under other names: fetch or "
            "publish it again."
        )
    return Bundle(file, digest, manifest)


def check_weights(files: Mapping[str, Path], manifest: Manifest) -> None:
    """Raise BundleError unless the graphs of a manifest, by name, name no weights but blobs of it."""
    for name in manifest.graphs:
        what = f"The {'entry' if name == manifest.entry else 'head graph'} {name}"
        try:
            missing = set(weight_names(files[name])) - {blob.sha256 for blob in manifest.blobs}
        except SessionError as error:
            raise BundleError(f"{what} cannot be run: {error}") from error
        if missing:
            raise BundleError(
                f"{what} names weights that are no blobs of this manifest: {', '.join(sorted(missing))}. Publish the "
                "model again with all of its files."
            )


def check_blob(path: Path, blob: Blob) -> None:
    """Raise BundleError unless a file is a blob, byte for byte."""
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


def _root_of(file: Path) -> Path:
    return file.parent.parent.parent.parent


def _resolved(path: Path | str) -> Path:
    try:
        return Path(path).resolve()
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle, and a name that no file system has
        raise BundleError(f"{str(path)!r} is no bundle: it leads to no manifest ({error}).") from error


def _manifest_bytes(file: Path) -> bytes:
    try:
        with open_regular(file) as opened:
            data = opened.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BundleError(f"{file} is no bundle: the manifest cannot be read ({reason}).") from error
    check_length(data)
    return data


def _check_folder(blobs: Path) -> None:
    """Raise BundleError unless the folder of blobs is one, and no link."""
    try:
        if not stat.S_ISDIR(os.lstat(blobs).st_mode):
            raise BundleError(f"{blobs} must be a folder, not a link or a file; fetch the bundle again.")
    except OSError as error:
        raise BundleError(f"{blobs} cannot be read ({error.strerror}): fetch the bundle again.") from error

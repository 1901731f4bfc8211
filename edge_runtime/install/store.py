"""The store of a device: one folder with the bundles that it keeps, their tuned graphs and the state of each model."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from edge_runtime.bundle import BLOBS, TARGETS, Blob, Bundle, Manifest, check_blob, identify_bundle, verify_bundle
from edge_runtime.bundle import manifest_path as path_of
from edge_runtime.errors import BundleError, DeviceFailed, InstallError, StoreBusy
from edge_runtime.files import fsync_directory, make_directories, open_regular, write_synced
from edge_runtime.install.state import MODELS, models_of, read_state

TUNED = "tuned"
PART = ".part"
LOCK = "install.lock"
_TEMPORARY = ".tmp-"


class DeviceStore:
    """A device's folder: a folder of bundles as edge_runtime.bundle describes it, with more beside them.

    `tuned/DIGEST/` holds the graph that was made on this device, `models/MODEL.json` the state, `blobs/.SHA256.part`
    what came so far of a blob, `install.lock` the lock of whoever installs.
    """

    def __init__(self, root: Path, device: str) -> None:
        self.root = root
        self.device = device

    @contextmanager
    def only_installer(self) -> Iterator[None]:
        """Hold the store for the block; the kernel lets go of it however the process ends.

        Raises StoreBusy where another process installs.
        """
        make_directories(self.root)
        descriptor = os.open(self.root / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            raise StoreBusy(
                f"{self.root}: expected to be the only installer, got another one at work; run again when it has ended"
            ) from error
        finally:
            os.close(descriptor)

    def manifest_path(self, model: str, digest: str) -> Path:
        """Return where the manifest of a bundle lies."""
        return path_of(self.root, model, self.device, digest)

    def identified(self, model: str, digest: str) -> Bundle:
        """Return a stored bundle by its manifest; blobs are not looked at. Raises BundleError."""
        return identify_bundle(self.manifest_path(model, digest))

    def verified(self, model: str, digest: str) -> Bundle:
        """Return a stored bundle, every byte of it verified. Raises BundleError."""
        return verify_bundle(self.manifest_path(model, digest))

    def blob_path(self, sha256: str) -> Path:
        """Return where a blob lies."""
        return self.root / BLOBS / sha256

    def part_path(self, sha256: str) -> Path:
        """Return where a blob that is on its way lies."""
        return self.root / BLOBS / f".{sha256}{PART}"

    def tuned_folder(self, digest: str) -> Path:
        """Return where the tuned graph of a bundle lies."""
        return self.root / TUNED / digest

    def missing(self, manifest: Manifest) -> list[Blob]:
        """Return the blobs of a manifest that the store lacks or has damaged, each content once; all are read."""
        found = {blob.sha256: blob for blob in manifest.blobs if not self._has(blob)}
        return list(found.values())

    def is_complete(self, model: str, digest: str) -> bool:
        """Tell whether every blob of a stored bundle is there in its size. Raises BundleError without its manifest."""
        blobs = self.identified(model, digest).manifest.blobs
        paths = {self.blob_path(blob.sha256): blob.size for blob in blobs}
        return all(path.is_file() and path.stat().st_size == size for path, size in paths.items())

    def _has(self, blob: Blob) -> bool:
        with suppress(BundleError):
            check_blob(self.blob_path(blob.sha256), blob)
            return True
        return False

    def check_space(self, manifest: Manifest, missing: list[Blob]) -> None:
        """Raise DeviceFailed unless there is room for what is missing and for a tuned graph, with a hundredth to spare.

        What has come of a blob so far takes its place already.
        """
        make_directories(self.root / BLOBS)
        whole = sum(blob.size for blob in manifest.blobs)
        there = sum(self._came(blob) for blob in missing)
        needed = sum(blob.size for blob in missing) - there + whole + max(whole // 100, 1 << 20)
        free = shutil.disk_usage(self.root / BLOBS).free
        if free < needed:
            raise DeviceFailed(
                f"{self.root}: expected {needed} free bytes for {manifest.model} version {manifest.version}, got "
                f"{free}; make room, and run again. What runs now goes on running"
            )

    def _came(self, blob: Blob) -> int:
        with suppress(OSError):
            return min(self.part_path(blob.sha256).stat().st_size, blob.size)
        return 0

    def put_part(self, blob: Blob) -> None:
        """Take a blob that came whole into the store: its content is checked while the disk takes it, then named.

        Raises BundleError for another content, OSError where the disk fails. The name is synced with the manifest.
        """
        part, final = self.part_path(blob.sha256), self.blob_path(blob.sha256)
        with ThreadPoolExecutor(1) as beside:  # neither hashing nor the disk waits for the other
            checked = beside.submit(check_blob, part, blob)
            with open_regular(part) as file:
                os.fchmod(file.fileno(), 0o444)
                os.fsync(file.fileno())
            checked.result()
        part.replace(final)

    def put_manifest(self, model: str, digest: str, data: bytes) -> None:
        """Write a manifest once all of its blobs are in the store: their names are synced first."""
        fsync_directory(self.root / BLOBS)
        path = self.manifest_path(model, digest)
        make_directories(path.parent)
        temporary = path.with_name(f"{_TEMPORARY}{digest}")
        temporary.unlink(missing_ok=True)
        write_synced(temporary, data)
        temporary.chmod(0o444)
        temporary.replace(path)
        fsync_directory(path.parent)

    def clean_parts(self) -> None:
        """Remove what came of blobs that nobody goes on with."""
        for path in (self.root / BLOBS).glob(f".*{PART}*"):
            path.unlink(missing_ok=True)

    def clean(self, keep: frozenset[str] = frozenset()) -> None:
        """Remove bundles that no model's state names, then blobs and tuned graphs that no bundle needs.

        `keep` are sha256 of blobs whose bundle is on its way. Parts stay: a carrier may go on with them. Manifests go
        first, so a power cut leaves no manifest whose blobs are gone. Nothing is removed where a state or a manifest
        that it keeps cannot be read.
        """
        try:
            kept = [(model, digest) for model in models_of(self.root) for digest in read_state(self.root, model).kept]
            needed = keep | {blob.sha256 for model, digest in kept for blob in self._blobs_of(model, digest)}
        except (BundleError, InstallError):
            return
        digests = {digest for _, digest in kept}
        self._clean_manifests(digests)
        for path in _entries(self.root / BLOBS):
            if path.name not in needed and not path.name.startswith("."):
                path.unlink(missing_ok=True)
        for path in (self.root / MODELS).glob(".*.tmp"):  # of a state whose writer was killed
            path.unlink(missing_ok=True)
        for path in _entries(self.root / TUNED):
            if path.name not in digests:
                shutil.rmtree(path, ignore_errors=True)

    def _blobs_of(self, model: str, digest: str) -> tuple[Blob, ...]:
        """Return the blobs of a bundle of any profile, as that of the device may have been changed since.

        There are none of a trial whose manifest did not come yet.
        """
        folders = _entries(self.root / TARGETS / model)
        paths = [path_of(self.root, model, folder.name, digest) for folder in folders]
        return tuple(blob for path in paths if path.exists() for blob in identify_bundle(path).manifest.blobs)

    def _clean_manifests(self, digests: set[str]) -> None:
        for path in (self.root / TARGETS).glob("*/*/*"):
            if path.name.partition(".")[0] not in digests:
                path.unlink(missing_ok=True)
                fsync_directory(path.parent)


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []

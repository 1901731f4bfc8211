"""Destinations: the places that devices take bundles from. A folder is one; others come behind the same protocol."""

import logging
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from edge_runtime.bundle import (
    APPROVAL,
    BLOBS,
    MAX_BYTES,
    Blob,
    Bundle,
    BundleError,
    Manifest,
    Measured,
    decode_manifest,
    digest_of,
    encode_manifest,
    identify_bundle,
    manifest_path,
    manifests_of,
    verify_bundle,
    write_bundle,
)
from edge_runtime.files import fsync_directory
from edge_runtime.model_files import write_heads
from tasks.delivery.claims import Claim, End, FolderClaims, ReleaseClaims
from tasks.errors import SystemFailure
from tasks.measurement import Acceptance
from tasks.repository import open_store
from tasks.workspace import S3

logger = logging.getLogger("edgewright")
DECISION = frozenset({"verdict", "verdict_sha256", *APPROVAL})
"""Keys of a bundle's lineage that record the decision; they are no part of its content."""
RELEASE = "release"
"""Key of a bundle's lineage that holds its release number."""


class Destination(Protocol):
    """A place that devices take bundles from. Addresses are texts that only the destination itself interprets."""

    def write(self, manifest: Manifest, files: Mapping[str, Path]) -> str:
        """Write a bundle, read it back as a device would, and return its address. Safe to repeat.

        `files` has each file of the manifest by its name.
        """

    def bundles(self, model: str, device: str) -> list[str]:
        """Return the addresses of the whole bundles of a model for a device class."""

    def supersede(self, address: str) -> list[str]:
        """Remove the other bundles of the same content, which differ in their decision alone; return their addresses.

        What is measured of a file, such as its golden vectors, is no part of its content: it may be measured again.
        """

    def claim(self, model: str, device: str, release: int, holder: str) -> bool:
        """Take a release number of a model and device class for a holder, atomically and for good.

        Return whether the number is this holder's: True when it was free, and when the same holder has it already.
        """

    def claims(self, model: str, device: str) -> list[Claim]:
        """Return all claims of a model and device class, the lowest number first."""

    def settle(self, model: str, device: str, release: int, end: End, note: Mapping[str, Any]) -> bool:
        """Say how a claim ended, once and for good; return whether it has ended so, now or before."""

    def sweep(self, model: str, device: str) -> list[str]:
        """Remove the bundles of abandoned claims; return their addresses."""

    def manifests(self, model: str, device: str, release: int) -> list[bytes]:
        """Return the manifests of a release as they were written: several until the older decision is removed."""

    def holds(self, model: str, device: str, release: int) -> bool:
        """Tell whether the whole bundle of a release is there, every byte of it as it was written."""

    def fetch(self, model: str, device: str, release: int, folder: Path) -> Path | None:
        """Copy the model of a release's whole bundle into a folder; return its graph, None where there is none."""


class _Bundles(ABC):
    """The part of destinations that follows from how they list, read and remove manifests."""

    @abstractmethod
    def bundles(self, model: str, device: str) -> list[str]:
        """Return the addresses of the whole bundles of a model for a device class."""

    @abstractmethod
    def claims(self, model: str, device: str) -> list[Claim]:
        """Return all claims of a model and device class."""

    @abstractmethod
    def tidy(self, model: str, device: str) -> None:
        """Remove what writers of claims left that were killed."""

    @abstractmethod
    def _manifest(self, address: str) -> Manifest | None:
        """Return the manifest at an address; None where there is none that can be read."""

    @abstractmethod
    def _remove(self, address: str) -> None:
        """Remove a manifest, durably. Its blobs stay: other bundles may share them."""

    def supersede(self, address: str) -> list[str]:
        """Remove the other bundles of the same content; return their addresses.

        A second approval is a second record, not a second release: a device must not find two bundles of one version
        and use the older record. A bundle of another version, file, recipe or session has other content and stays. Call
        it only when the bundle is whole; what cannot be read as a manifest is left as it is.
        """
        manifest = self._manifest(address)
        there = [] if manifest is None else self.bundles(manifest.model, manifest.device)
        if manifest is None or address not in there:
            raise SystemFailure(f"{address}: expected the bundle that was written, got none; see who removed it")
        others = [each for each in there if each != address]
        older = [each for each in others if is_same_release(self._manifest(each), manifest)]
        for each in older:
            self._remove(each)
            logger.info("%s: took the place of %s, which has an older decision", _short(address), _short(each))
        return older

    def sweep(self, model: str, device: str) -> list[str]:
        """Remove the bundles whose lineage names an abandoned claim; return their addresses."""
        self.tidy(model, device)
        abandoned = {str(claim.release) for claim in self.claims(model, device) if claim.end == "abandoned"}
        swept = [each for each in self.bundles(model, device) if self._release_of(each) in abandoned]
        for each in swept:
            self._remove(each)
            logger.warning("%s: removed a bundle whose publication was never finished", _short(each))
        return swept

    def manifests(self, model: str, device: str, release: int) -> list[bytes]:
        """Return the manifests of a release as they were written."""
        found = (self._manifest(each) for each in self._of_release(model, device, release))
        return [encode_manifest(manifest) for manifest in found if manifest is not None]

    def _of_release(self, model: str, device: str, release: int) -> list[str]:
        return [each for each in self.bundles(model, device) if self._release_of(each) == str(release)]

    def _release_of(self, address: str) -> str | None:
        manifest = self._manifest(address)
        return None if manifest is None else manifest.lineage.get(RELEASE)


@dataclass(frozen=True)
class FolderDestination(FolderClaims, _Bundles):
    """A folder of bundles, in the form of edge_runtime.bundle, with `.claims/MODEL/DEVICE/` for the release numbers."""

    def write(self, manifest: Manifest, files: Mapping[str, Path]) -> str:
        """Write a bundle, read it back as a device would, and return the path of its manifest.

        Raises BundleError, and SystemFailure where the folder cannot be written to.
        """
        return str(_written(self.root, manifest, files))

    def bundles(self, model: str, device: str) -> list[str]:
        """Return the paths of the manifests of a model for a device class, by digest."""
        paths = map(str, manifests_of(self.root, model, device))
        return [path for path in paths if self._manifest(path) is not None]

    def holds(self, model: str, device: str, release: int) -> bool:
        """Verify the bundle whose lineage names the release."""
        return self._verified(model, device, release) is not None

    def fetch(self, model: str, device: str, release: int, folder: Path) -> Path | None:
        """Copy the model of the verified bundle whose lineage names the release."""
        bundle = self._verified(model, device, release)
        return None if bundle is None else copied_model(bundle, folder)

    def _verified(self, model: str, device: str, release: int) -> Bundle | None:
        named = (_intact(Path(path)) for path in self._of_release(model, device, release))
        return next((bundle for bundle in named if bundle is not None), None)

    def _manifest(self, address: str) -> Manifest | None:
        """Read the manifest at a path; None for anything else, and where a link leads to it."""
        path, root = Path(address), Path(address).parents[3]
        try:
            bundle = identify_bundle(path)
        except BundleError:
            return None
        return bundle.manifest if bundle.path == root.resolve() / path.relative_to(root) else None

    def _remove(self, address: str) -> None:
        Path(address).unlink()
        fsync_directory(Path(address).parent)


@dataclass(frozen=True)
class BucketDestination(ReleaseClaims, _Bundles):
    """The same form in an object store, such as a bucket of S3, which a web server or a CDN serves as it is.

    A manifest never changes under its name, so each is read once; whether it is there is asked every time.
    """

    _known: dict[str, Manifest] = field(default_factory=dict, compare=False, repr=False)

    def write(self, manifest: Manifest, files: Mapping[str, Path]) -> str:
        """Write and verify a bundle in a folder of its own, upload it, and return the name of its manifest.

        Blobs go first: whoever sees the manifest sees all of them. What is there in another size is replaced.
        """
        with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
            bundle = verify_bundle(_written(Path(folder), manifest, files))
            for blob in manifest.files:
                self._put(f"{BLOBS}/{blob.sha256}", bundle.root / BLOBS / blob.sha256)
            address = str(bundle.path.relative_to(bundle.root))
            self._put(address, bundle.path)
        return address

    def bundles(self, model: str, device: str) -> list[str]:
        """Return the names of the manifests of a model for a device class, by digest."""
        names = (manifest_path(Path(), model, device, name.partition(".")[0]) for name in self._names(model, device))
        return [str(name) for name in names if self._manifest(str(name)) is not None]

    def holds(self, model: str, device: str, release: int) -> bool:
        """Look for every file of the release in its size: the store answers for the bytes."""
        found = (self._manifest(name) for name in self._of_release(model, device, release))
        return any(manifest is not None and all(map(self._has, manifest.blobs)) for manifest in found)

    def fetch(self, model: str, device: str, release: int, folder: Path) -> Path | None:
        """Download the bundle whose lineage names the release, verify it, and copy its model."""
        for name in self._of_release(model, device, release):
            manifest = self._manifest(name)
            with tempfile.TemporaryDirectory(prefix="edgewright-") as scratch:
                if manifest is not None and (bundle := self._fetched(name, manifest, Path(scratch))) is not None:
                    return copied_model(bundle, folder)
        return None

    def _fetched(self, name: str, manifest: Manifest, root: Path) -> Bundle | None:
        for each in (*(f"{BLOBS}/{blob.sha256}" for blob in manifest.blobs), name):
            (root / each).parent.mkdir(parents=True, exist_ok=True)
            if not self.store.fetch(each, root / each):
                return None
        return _intact(root / name)

    def _names(self, model: str, device: str) -> list[str]:
        return self.store.names(str(manifest_path(Path(), model, device, "").parent))

    def _put(self, name: str, path: Path) -> None:
        if not self.store.create(name, path) and self.store.size(name) != path.stat().st_size:
            logger.warning("%s/%s: replacing a damaged object by an intact one", self.store.address, name)
            self.store.remove(name)
            self.store.create(name, path)

    def _has(self, blob: Blob) -> bool:
        return self.store.size(f"{BLOBS}/{blob.sha256}") == blob.size

    def _manifest(self, address: str) -> Manifest | None:
        if address not in self._known and (manifest := self._verified(address)) is not None:
            self._known[address] = manifest
        return self._known.get(address)

    def _verified(self, address: str) -> Manifest | None:
        try:
            data = self.store.read(address, MAX_BYTES)
            manifest = None if data is None else decode_manifest(data)
        except (BundleError, SystemFailure) as error:
            logger.warning("%s/%s: this is no manifest: %s", self.store.address, address, error)
            return None
        if manifest is None:
            return None
        place = manifest_path(Path(), manifest.model, manifest.device, digest_of(manifest))
        return manifest if str(place) == address else None

    def _remove(self, address: str) -> None:
        self.store.remove(address)


def destination_at(address: str) -> Destination:
    """Return the place at an address: s3://BUCKET/PREFIX, or the path of a folder."""
    if address.startswith(S3):
        return BucketDestination(open_store(address))
    return FolderDestination(Path(address))


def _written(root: Path, manifest: Manifest, files: Mapping[str, Path]) -> Path:
    try:
        written = write_bundle(root, manifest, files)
        verify_bundle(written)
    except BundleError as error:
        if isinstance(error.__cause__, OSError):
            raise SystemFailure(str(error)) from error
        raise
    return written


def _short(address: str) -> str:
    return address.rpartition("/")[2][:12]


def copied_model(bundle: Bundle, folder: Path) -> Path:
    """Copy the files of a bundle's model into a folder under their names, and return its graph.

    Acceptance data lie beside it as a run keeps them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    manifest = bundle.manifest
    for blob in manifest.blobs:
        shutil.copyfile(bundle.blob_path(blob.name), folder / blob.name)
    if manifest.heads:
        write_heads(folder, {head.name: head.outputs for head in manifest.heads})
    if manifest.golden is not None:
        kept = Acceptance(folder / manifest.golden.blob, manifest.golden, manifest.spreads, manifest.measured)
        kept.describe(folder)
    return folder / manifest.entry


def _intact(path: Path) -> Bundle | None:
    try:
        return verify_bundle(path)
    except BundleError:
        return None


def is_same_release(one: Manifest | None, other: Manifest) -> bool:
    """Tell whether two bundles differ in nothing but the decision and what was measured; None is no bundle."""
    return one is not None and _content(one) == _content(other)


def _content(manifest: Manifest) -> Manifest:
    """Return a manifest without the decision and without what may be measured again and made again for one release."""
    lineage = {key: text for key, text in manifest.lineage.items() if key not in DECISION}
    golden = None if manifest.golden is None else manifest.golden.blob
    blobs = tuple(blob for blob in manifest.blobs if blob.name != golden)
    bare = replace(manifest, golden=None, measured=Measured(), spreads=(), documents=(), deltas=())
    return replace(bare, lineage=lineage, blobs=blobs)

"""Destinations: the places that devices take bundles from. A folder is one; others come behind the same protocol."""

import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from edge_runtime.bundle import (
    APPROVAL,
    Bundle,
    BundleError,
    Manifest,
    Measured,
    identify_bundle,
    manifests_of,
    verify_bundle,
    write_bundle,
)
from edge_runtime.files import fsync_directory
from tasks.delivery.claims import Claim, End, FolderClaims
from tasks.errors import SystemFailure
from tasks.measurement import Acceptance

logger = logging.getLogger("edgewright")
DECISION = frozenset({"verdict", "verdict_sha256", *APPROVAL})
"""Keys of a bundle's lineage that record the decision; they are no part of its content."""
RELEASE = "release"
"""Key of a bundle's lineage that holds its release number."""


class Destination(Protocol):
    """A place that devices take bundles from. Addresses are texts that only the destination itself interprets."""

    def write(self, manifest: Manifest, files: Mapping[str, Path]) -> str:
        """Write a bundle, read it back as a device would, and return its address. Safe to repeat.

        `files` has each blob and each document of the manifest by its name.
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

    def holds(self, model: str, device: str, release: int) -> bool:
        """Tell whether the whole bundle of a release is there, every byte of it as it was written."""

    def fetch(self, model: str, device: str, release: int, folder: Path) -> Path | None:
        """Copy the model of a release's whole bundle into a folder; return its graph, None where there is none."""


@dataclass(frozen=True)
class FolderDestination(FolderClaims):
    """A folder of bundles, in the form of edge_runtime.bundle, with `.claims/MODEL/DEVICE/` for the release numbers."""

    def write(self, manifest: Manifest, files: Mapping[str, Path]) -> str:
        """Write a bundle, read it back as a device would, and return the path of its manifest.

        Raises BundleError, and SystemFailure where the folder cannot be written to.
        """
        try:
            written = write_bundle(self.root, manifest, files)
            verify_bundle(written)
        except BundleError as error:
            if isinstance(error.__cause__, OSError):
                raise SystemFailure(str(error)) from error
            raise
        return str(written)

    def bundles(self, model: str, device: str) -> list[str]:
        """Return the paths of the manifests of a model for a device class, by digest."""
        return [str(each) for each in manifests_of(self.root, model, device) if _manifest(each) is not None]

    def supersede(self, address: str) -> list[str]:
        """Remove the other bundles of the same content; return their paths.

        A second approval is a second record, not a second release: a device must not find two bundles of one version
        and use the older record. A bundle of another version, file, recipe or session has other content and stays. Call
        it only when the bundle is whole; a file that cannot be read as a manifest is left as it is.
        """
        bundle = identify_bundle(address)
        manifest = bundle.manifest
        others = [Path(each) for each in self.bundles(manifest.model, manifest.device) if each != address]
        older = [path for path in others if is_same_release(_manifest(path), manifest)]
        for path in older:
            _remove(path)
            logger.info("%s: took the place of %s, which has an older decision", bundle.digest[:12], path.name[:12])
        return [str(path) for path in older]

    def sweep(self, model: str, device: str) -> list[str]:
        """Remove the bundles whose lineage names an abandoned claim; return their paths."""
        self._clean(model, device)
        abandoned = {str(claim.release) for claim in self.claims(model, device) if claim.end == "abandoned"}
        found = [Path(address) for address in self.bundles(model, device)]
        swept = [path for path in found if _release_of(path) in abandoned]
        for path in swept:
            _remove(path)
            logger.warning("%s: removed a bundle whose publication was never finished", path.name[:12])
        return [str(path) for path in swept]

    def holds(self, model: str, device: str, release: int) -> bool:
        """Verify the bundle whose lineage names the release."""
        return self._verified(model, device, release) is not None

    def fetch(self, model: str, device: str, release: int, folder: Path) -> Path | None:
        """Copy the model of the verified bundle whose lineage names the release."""
        bundle = self._verified(model, device, release)
        return None if bundle is None else copied_model(bundle, folder)

    def _verified(self, model: str, device: str, release: int) -> Bundle | None:
        """Return the whole bundle whose lineage names the release."""
        found = [Path(address) for address in self.bundles(model, device)]
        named = (_intact(path) for path in found if _release_of(path) == str(release))
        return next((bundle for bundle in named if bundle is not None), None)


def copied_model(bundle: Bundle, folder: Path) -> Path:
    """Copy the files of a bundle's model into a folder under their names, and return its graph.

    Acceptance data lie beside it as a run keeps them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    manifest = bundle.manifest
    for blob in manifest.blobs:
        shutil.copyfile(bundle.blob_path(blob.name), folder / blob.name)
    if manifest.golden is not None:
        kept = Acceptance(folder / manifest.golden.blob, manifest.golden, manifest.spreads, manifest.measured)
        kept.describe()
    return folder / manifest.entry


def _intact(path: Path) -> Bundle | None:
    try:
        return verify_bundle(path)
    except BundleError:
        return None


def _release_of(path: Path) -> str | None:
    manifest = _manifest(path)
    return None if manifest is None else manifest.lineage.get(RELEASE)


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


def _manifest(path: Path) -> Manifest | None:
    """Return the manifest at a path in a folder of bundles; None for anything else, and where a link leads to it."""
    root = path.parents[3]
    try:
        bundle = identify_bundle(path)
    except BundleError:
        return None
    return bundle.manifest if bundle.path == root.resolve() / path.relative_to(root) else None


def _remove(manifest: Path) -> None:
    """Remove the manifest of a bundle, durably. Its blobs stay: other bundles may share them."""
    manifest.unlink()
    fsync_directory(manifest.parent)

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
    RuntimeRange,
    TensorSpec,
    read_manifest,
    verify_bundle,
    write_bundle,
)
from edge_runtime.files import fsync_directory
from edge_runtime.settings import SessionSettings
from tasks.delivery.claims import Claim, End, FolderClaims
from tasks.errors import SystemFailure

logger = logging.getLogger("edgewright")
DECISION = frozenset({"verdict", *APPROVAL})
"""Keys of a bundle's lineage that record the decision; two bundles that differ only in them have the same content."""
RELEASE = "release"
"""Key of a bundle's lineage that holds its release number."""
_LEFTOVER = ".tmp-superseded-"  # the writer of the next bundle removes what a kill leaves under such a name


@dataclass(frozen=True)
class BundleContent:
    """A bundle that is to be written: names, the graph's signature, how to run it, its lineage, and its files.

    `sha256` is the digest of the model that was measured, which the entry must have.
    """

    model: str
    version: str
    device: str
    entry: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    session: SessionSettings
    onnxruntime: RuntimeRange
    lineage: Mapping[str, str]
    files: Mapping[str, Path]
    sha256: str

    def write_under(self, root: Path) -> Path:
        """Write the bundle under a folder, verify every byte there, and return its own folder.

        Raises BundleError, and SystemFailure where the place cannot be written to.
        """
        try:
            bundle = write_bundle(root, **{name: getattr(self, name) for name in BundleContent.__annotations__})
            verify_bundle(bundle)
        except BundleError as error:
            if isinstance(error.__cause__, OSError):
                raise SystemFailure(str(error)) from error
            raise
        return bundle


class Destination(Protocol):
    """A place that devices take bundles from. Addresses are texts that only the destination itself interprets."""

    def write(self, content: BundleContent) -> str:
        """Write a bundle, read it back as a device would, and return its address. Safe to repeat."""

    def bundles(self, model: str, device: str) -> list[str]:
        """Return the addresses of the whole bundles of a model for a device class."""

    def supersede(self, address: str) -> list[str]:
        """Remove the bundles that differ from this one in nothing but their decision; return their addresses."""

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
    """A folder with `MODEL/DEVICE/DIGEST/` for each bundle and `.claims/MODEL/DEVICE/` for the release numbers."""

    def write(self, content: BundleContent) -> str:
        """Write a bundle, read it back as a device would, and return its folder. Raises BundleError."""
        return str(content.write_under(self.root))

    def bundles(self, model: str, device: str) -> list[str]:
        """Return the folders of the whole bundles of a model for a device class, by digest."""
        folder = self.root / model / device
        found = sorted(folder.iterdir()) if folder.is_dir() else []
        return [str(each) for each in found if _manifest(each) is not None]

    def supersede(self, address: str) -> list[str]:
        """Remove the bundles that differ from this one in nothing but their decision; return their folders.

        A second approval is a second record, not a second release: a device must not find two bundles of one version
        and use the older record. A bundle of another version, file, recipe or session has other content and stays. Call
        it only when the bundle is whole; a folder that cannot be read as a bundle is left as it is.
        """
        bundle = Path(address)
        manifest = read_manifest(bundle)
        others = [Path(each) for each in self.bundles(manifest.model, manifest.device) if each != address]
        older = [folder for folder in others if is_same_release(_manifest(folder), manifest)]
        for folder in older:
            _remove(folder)
            logger.info("%s: took the place of %s, which has an older decision", bundle.name[:12], folder.name[:12])
        return [str(folder) for folder in older]

    def sweep(self, model: str, device: str) -> list[str]:
        """Remove the bundles whose lineage names an abandoned claim; return their folders."""
        self._clean(model, device)
        abandoned = {str(claim.release) for claim in self.claims(model, device) if claim.end == "abandoned"}
        found = [Path(address) for address in self.bundles(model, device)]
        swept = [folder for folder in found if _release_of(folder) in abandoned]
        for folder in swept:
            _remove(folder)
            logger.warning("%s: removed a bundle whose publication was never finished", folder.name[:12])
        return [str(folder) for folder in swept]

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
        named = (_intact(folder) for folder in found if _release_of(folder) == str(release))
        return next((bundle for bundle in named if bundle is not None), None)


def copied_model(bundle: Bundle, folder: Path) -> Path:
    """Copy the files of a bundle's model into a folder under their names, and return its graph."""
    folder.mkdir(parents=True, exist_ok=True)
    for blob in bundle.manifest.blobs:
        shutil.copyfile(bundle.blob_path(blob.name), folder / blob.name)
    return folder / bundle.manifest.entry


def _intact(folder: Path) -> Bundle | None:
    try:
        return verify_bundle(folder)
    except BundleError:
        return None


def _release_of(folder: Path) -> str | None:
    manifest = _manifest(folder)
    return None if manifest is None else manifest.lineage.get(RELEASE)


def is_same_release(one: Manifest | None, other: Manifest) -> bool:
    """Tell whether two bundles differ in nothing but the decision about them; None is no bundle."""
    return one is not None and _undecided(one) == _undecided(other)


def _undecided(manifest: Manifest) -> Manifest:
    return replace(manifest, lineage={key: text for key, text in manifest.lineage.items() if key not in DECISION})


def _manifest(folder: Path) -> Manifest | None:
    """Return the manifest of a bundle's folder; None for anything else."""
    if folder.name.startswith(".") or folder.is_symlink() or not folder.is_dir():
        return None
    try:
        return read_manifest(folder)
    except BundleError:
        return None


def _remove(folder: Path) -> None:
    """Remove a bundle; it is renamed first, so that a kill at any moment leaves no part that a reader could see."""
    away = folder.rename(folder.with_name(f"{_LEFTOVER}{folder.name}"))
    fsync_directory(folder.parent)
    shutil.rmtree(away, ignore_errors=True)  # the release is out: what is left of the older record waits for the next

"""Destinations: the places that devices take bundles from. A folder is one; others come behind the same protocol."""

import json
import logging
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from edge_runtime.bundle import (
    APPROVAL,
    BundleError,
    Manifest,
    RuntimeRange,
    TensorSpec,
    decode_manifest,
    verify_bundle,
    write_bundle,
)
from edge_runtime.files import fsync_directory, make_directories, write_synced
from edge_runtime.settings import SessionSettings

logger = logging.getLogger("edgewright")
DECISION = frozenset({"verdict", *APPROVAL})
"""Keys of a bundle's lineage that record the decision; two bundles that differ only in them have the same content."""
CLAIMS = "claims"
_LEFTOVER = ".tmp-superseded-"  # the writer of the next bundle removes what a kill leaves under such a name


@dataclass(frozen=True)
class BundleContent:
    """A bundle that is to be written: names, the graph's signature, how to run it, its lineage, and its files."""

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

    def write_under(self, root: Path) -> Path:
        """Write the bundle under a folder, verify every byte there, and return its own folder. Raises BundleError."""
        bundle = write_bundle(root, **{name: getattr(self, name) for name in BundleContent.__annotations__})
        verify_bundle(bundle)
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


@dataclass(frozen=True)
class FolderDestination:
    """A folder with `MODEL/DEVICE/DIGEST/` for each bundle and `MODEL/DEVICE/claims/` for the release numbers."""

    root: Path

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
        manifest = decode_manifest((bundle / "manifest.json").read_bytes())
        others = [Path(each) for each in self.bundles(manifest.model, manifest.device) if each != address]
        older = [folder for folder in others if is_same_release(_manifest(folder), manifest)]
        for folder in older:
            _remove(folder)
            logger.info("%s: took the place of %s, which has an older decision", bundle.name[:12], folder.name[:12])
        return [str(folder) for folder in older]

    def claim(self, model: str, device: str, release: int, holder: str) -> bool:
        """Create the file of a release number; the file system lets only one claimant create it."""
        return take_number(self.root / model / device / CLAIMS, release, holder)


def take_number(folder: Path, release: int, holder: str) -> bool:
    """Take a release number as the file of that name in a folder; return whether it is this holder's."""
    make_directories(folder)
    path = folder / f"{release}.json"
    whole = path.with_name(f".tmp-{path.name}-{secrets.token_hex(8)}")
    write_synced(whole, json.dumps({"holder": holder}).encode())  # a kill leaves this file, never a part of a claim
    try:
        os.link(whole, path)
    except FileExistsError:
        return bool(json.loads(path.read_bytes())["holder"] == holder)
    finally:
        whole.unlink()
    fsync_directory(folder)
    return True


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
        return decode_manifest((folder / "manifest.json").read_bytes())
    except (BundleError, OSError):
        return None


def _remove(folder: Path) -> None:
    """Remove a bundle; it is renamed first, so that a kill at any moment leaves no part that a reader could see."""
    away = folder.rename(folder.with_name(f"{_LEFTOVER}{folder.name}"))
    fsync_directory(folder.parent)
    shutil.rmtree(away, ignore_errors=True)  # the release is out: what is left of the older record waits for the next

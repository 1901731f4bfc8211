"""One release of one content: of bundles that differ in nothing but their decision the newest one stays."""

import logging
import shutil
from dataclasses import replace
from pathlib import Path

from edge_runtime.bundle import APPROVAL, BundleError, Manifest, decode_manifest
from edge_runtime.files import fsync_directory

logger = logging.getLogger("edgewright")
DECISION = frozenset({"verdict", *APPROVAL})
"""Keys of the lineage that say what was decided about a content; the content is the same without them."""
_LEFTOVER = ".tmp-superseded-"  # the writer of the next bundle removes what a kill leaves under such a name


def supersede(bundle: Path) -> list[str]:
    """Remove what stands beside a bundle with the same content and another decision; returns the digests.

    A second approval is a second record, no second release: a device must not find two bundles of one version and take
    the older record for the one that counts. Other versions, files, recipes and ways to run are other content. Call it
    only when the bundle is whole; what cannot be read as a bundle is left as it is.
    """
    content = _content(bundle)
    older = [folder for folder in sorted(bundle.parent.iterdir()) if folder != bundle and _holds(folder, content)]
    for folder in older:
        _remove(folder)
        logger.info("%s: took the place of %s, which has an older decision", bundle.name[:12], folder.name[:12])
    return [folder.name for folder in older]


def _content(bundle: Path) -> Manifest:
    manifest = decode_manifest((bundle / "manifest.json").read_bytes())
    return replace(manifest, lineage={key: text for key, text in manifest.lineage.items() if key not in DECISION})


def _holds(folder: Path, content: Manifest) -> bool:
    if folder.name.startswith(".") or folder.is_symlink() or not folder.is_dir():
        return False
    try:
        return _content(folder) == content
    except (BundleError, OSError):
        return False


def _remove(folder: Path) -> None:
    """Under another name first: whatever moment this dies at, no reader sees a part of it."""
    away = folder.rename(folder.with_name(f"{_LEFTOVER}{folder.name}"))
    fsync_directory(folder.parent)
    shutil.rmtree(away, ignore_errors=True)  # the release is out: what is left of the older record waits for the next

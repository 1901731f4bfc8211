"""The manifest as bytes, and back. The bytes are canonical, so their sha256 is the bundle's digest."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from typing import Any, TypeVar

from edge_runtime.bundle.manifest import FORMAT_VERSION, Blob, Manifest, TensorSpec
from edge_runtime.errors import BundleError, SessionError
from edge_runtime.settings import SessionSettings

Item = TypeVar("Item")


def encode_manifest(manifest: Manifest) -> bytes:
    """Return the canonical JSON: keys and blobs sorted, no timestamp, ASCII, a newline at the end."""
    ordered = replace(
        manifest,
        blobs=tuple(sorted(manifest.blobs, key=lambda blob: blob.name)),
        lineage=dict(manifest.lineage),
    )
    return (json.dumps(asdict(ordered), sort_keys=True, indent=2, ensure_ascii=True) + "\n").encode("ascii")


def digest_of(manifest: Manifest) -> str:
    """Return the bundle's digest: the sha256 of the manifest's bytes."""
    return hashlib.sha256(encode_manifest(manifest)).hexdigest()


def decode_manifest(data: bytes) -> Manifest:
    """Read a manifest strictly.

    Raises BundleError for another format version, a missing or an unknown key, a value of the wrong type,
    and bytes that are not the canonical ones (a key given twice, for instance).
    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"The manifest is not JSON ({error}); fetch the bundle again.") from error
    manifest = _manifest(document)
    if encode_manifest(manifest) != data:
        raise BundleError("The manifest is not in its canonical form; only write_bundle may write one.")
    return manifest


def _manifest(document: object) -> Manifest:
    if isinstance(document, dict) and document.get("format_version") != FORMAT_VERSION:
        found = document.get("format_version")
        raise BundleError(f"The manifest has format version {found!r}, this runtime reads {FORMAT_VERSION}: update it.")
    entries = _entries(document, Manifest, "The manifest")
    entries["blobs"] = _items(entries["blobs"], _blob, "blobs")
    entries["inputs"] = _items(entries["inputs"], _tensor, "inputs")
    entries["outputs"] = _items(entries["outputs"], _tensor, "outputs")
    entries["session"] = _session(entries["session"])
    if not isinstance(entries["lineage"], dict):
        raise BundleError(f"The manifest's lineage must be an object, not {entries['lineage']!r}.")
    return Manifest(**entries)


def _blob(value: object) -> Blob:
    return Blob(**_entries(value, Blob, "A blob"))


def _tensor(value: object) -> TensorSpec:
    entries = _entries(value, TensorSpec, "A tensor")
    if not isinstance(entries["shape"], list):
        raise BundleError(f"The shape of the tensor {entries['name']!r} must be a list, not {entries['shape']!r}.")
    return TensorSpec(entries["name"], entries["dtype"], tuple(entries["shape"]))


def _session(value: object) -> SessionSettings:
    try:
        return SessionSettings(**_entries(value, SessionSettings, "The session"))
    except SessionError as error:
        raise BundleError(f"The manifest's session settings cannot be used: {error}") from error


def _items(value: object, read: Callable[[object], Item], what: str) -> tuple[Item, ...]:
    if not isinstance(value, list):
        raise BundleError(f"The manifest's {what} must be a list, not {value!r}.")
    return tuple(read(item) for item in value)


def _entries(value: object, kind: type, what: str) -> dict[str, Any]:
    expected = {field.name for field in fields(kind)}
    if not isinstance(value, dict):
        raise BundleError(f"{what} must be an object with the keys {sorted(expected)}, not {value!r}.")
    missing, unknown = sorted(expected - set(value)), sorted(set(value) - expected)
    if missing or unknown:
        raise BundleError(f"{what} needs exactly the keys {sorted(expected)}: missing {missing}, unknown {unknown}.")
    return dict(value)

"""A manifest as canonical JSON: written in one way only, read strictly, and named by its sha256."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from typing import Any, TypeVar

from edge_runtime.bundle.manifest import FORMAT_VERSION, Manifest, is_current
from edge_runtime.bundle.parts import Blob, DeclaredHead, Delta, Golden, Measured, RuntimeRange, Spread, Validity
from edge_runtime.errors import BundleError, SessionError
from edge_runtime.settings import OF_A_DEVICE, SessionSettings, TensorSpec

MAX_BYTES = 1 << 20  # of a manifest

Item = TypeVar("Item")


def encode_manifest(manifest: Manifest) -> bytes:
    """Return the canonical JSON: keys and blobs sorted, no space, no timestamp, ASCII, a newline at the end.

    A manifest without heads does not name them, so that its bytes are those of releases that knew none.
    Raises BundleError for a manifest that is too long to be read.
    """
    ordered = replace(
        manifest,
        blobs=tuple(sorted(manifest.blobs, key=lambda blob: blob.name)),
        documents=tuple(sorted(manifest.documents, key=lambda blob: blob.name)),
        deltas=tuple(sorted(manifest.deltas, key=lambda delta: (delta.blob, delta.base))),
        lineage=dict(manifest.lineage),
    )
    plain = asdict(ordered) | {"session": manifest.session.to_plain()}
    if not manifest.heads:
        del plain["heads"]
    data = (json.dumps(plain, sort_keys=True, separators=(",", ":")) + "\n").encode("ascii")
    check_length(data)
    return data


def digest_of(manifest: Manifest) -> str:
    """Return the bundle's digest: the sha256 of the manifest's bytes."""
    return hashlib.sha256(encode_manifest(manifest)).hexdigest()


def decode_manifest(data: bytes) -> Manifest:
    """Read a manifest strictly.

    Raises BundleError for another format version, a missing or an unknown key, a value of the wrong type,
    and bytes that are not the canonical ones (a key given twice, for instance).
    """
    check_length(data)
    try:
        manifest = _manifest(json.loads(data.decode("ascii"), parse_constant=_refused))
        canonical = encode_manifest(manifest)
    except (ValueError, RecursionError, OverflowError) as error:  # a deep document may be read and be too deep to show
        raise BundleError(f"The manifest is not JSON ({error}); fetch the bundle again.") from error
    if canonical != data:
        raise BundleError("The manifest is not in its canonical form; only write_bundle may write one.")
    return manifest


def check_length(data: bytes) -> None:
    """Raise BundleError for the bytes of a manifest that are more than MAX_BYTES."""
    if len(data) > MAX_BYTES:
        raise BundleError(
            f"The manifest must have at most {MAX_BYTES} bytes, not {len(data)} or more: it is not one that "
            "write_bundle wrote, or says too much."
        )


def _refused(constant: str) -> object:
    raise ValueError(f"{constant} is no number of JSON")


def _manifest(document: object) -> Manifest:
    if isinstance(document, dict) and not is_current(document.get("format_version")):
        raise BundleError(_other_format(document.get("format_version")))
    without = set() if isinstance(document, dict) and "heads" in document else {"heads"}
    entries = _entries(document, Manifest, "The manifest", frozenset(without))
    for key, read in (
        ("blobs", _plain(Blob, "A blob")), ("documents", _plain(Blob, "A document")), ("inputs", _tensor),
        ("outputs", _tensor), ("spreads", _spread), ("deltas", _plain(Delta, "A delta")),
    ):  # fmt: skip
        entries[key] = _items(entries[key], read, key)
    entries["heads"] = _items(entries.get("heads", []), _head, "heads")
    entries["session"] = _session(entries["session"])
    entries["onnxruntime"] = _plain(RuntimeRange, "The range of ONNX Runtime")(entries["onnxruntime"])
    entries["measured"] = _plain(Measured, "The measured figures")(entries["measured"])
    entries["validity"] = _validity(entries["validity"])
    if entries["golden"] is not None:
        entries["golden"] = _plain(Golden, "The golden vectors")(entries["golden"])
    if not isinstance(entries["lineage"], dict):
        raise BundleError(f"The manifest's lineage must be an object, not {entries['lineage']!r}.")
    return Manifest(**entries)


def _other_format(found: object) -> str:
    older = type(found) is int and 0 < found < FORMAT_VERSION
    remedy = "publish the model again with this release" if older else "use the runtime of the release that wrote it"
    return f"The manifest has format version {found!r}, this runtime reads {FORMAT_VERSION}; {remedy}."


def _plain(kind: Callable[..., Item], what: str) -> Callable[[object], Item]:
    """Return a reader of a record whose fields JSON holds as they are."""
    return lambda value: kind(**_entries(value, kind, what))


def _tensor(value: object) -> TensorSpec:
    entries = _entries(value, TensorSpec, "A tensor")
    return TensorSpec(entries["name"], entries["dtype"], _list(entries["shape"], f"shape of {entries['name']!r}"))


def _head(value: object) -> DeclaredHead:
    entries = _entries(value, DeclaredHead, "A head")
    return DeclaredHead(entries["name"], entries["graph"], _list(entries["outputs"], f"outputs of {entries['name']!r}"))


def _spread(value: object) -> Spread:
    entries = _entries(value, Spread, "A spread")
    return Spread(**entries | {"quantiles": _list(entries["quantiles"], "quantiles")})


def _validity(value: object) -> Validity:
    entries = _entries(value, Validity, "The validity")
    return Validity(**entries | {"instruction_sets": _list(entries["instruction_sets"], "instruction sets")})


def _session(value: object) -> SessionSettings:
    try:
        return SessionSettings(**_entries(value, SessionSettings, "The session", OF_A_DEVICE))
    except SessionError as error:
        raise BundleError(f"The manifest's session settings cannot be used: {error}") from error


def _items(value: object, read: Callable[[object], Item], what: str) -> tuple[Item, ...]:
    return tuple(read(item) for item in _list(value, what))


def _list(value: object, what: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise BundleError(f"The manifest's {what} must be a list, not {value!r}.")
    return tuple(value)


def _entries(value: object, kind: Any, what: str, without: frozenset[str] = frozenset()) -> dict[str, Any]:
    expected = {field.name for field in fields(kind)} - without
    if not isinstance(value, dict):
        raise BundleError(f"{what} must be an object with the keys {sorted(expected)}, not {value!r}.")
    missing, unknown = sorted(expected - set(value)), sorted(set(value) - expected)
    if missing or unknown:
        raise BundleError(f"{what} needs exactly the keys {sorted(expected)}: missing {missing}, unknown {unknown}.")
    return dict(value)

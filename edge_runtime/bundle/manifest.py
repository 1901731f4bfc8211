"""The manifest of a bundle, as a record and as canonical JSON: blobs, tensors, session settings and lineage."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, TypeVar

from edge_runtime.errors import BundleError, SessionError
from edge_runtime.settings import SessionSettings, TensorSpec, is_plain_text

FORMAT_VERSION = 2
MAX_BYTES = 1 << 20  # of a manifest
MAX_BLOB_BYTES = 1 << 40
OVERRIDDEN = "overridden"
APPROVAL = ("approved_by", "approval_reason", "approved_until", "approved_verdict")

_COMPONENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_VERSION = re.compile(r"(0|[1-9][0-9]{0,5})(\.(0|[1-9][0-9]{0,5})){1,3}")

Item = TypeVar("Item")


def check_component(what: str, name: object) -> None:
    """Raise BundleError unless a name can be one part of a path on any file system."""
    if not isinstance(name, str) or not _COMPONENT.fullmatch(name):
        raise BundleError(
            f"The {what} {name!r} cannot be part of a path: use 1 to 128 letters, digits, dots, dashes "
            "or underscores, beginning with a letter or a digit."
        )


@dataclass(frozen=True)
class Blob:
    """A file of the bundle: its name in the manifest, the sha256 that it is stored under, its size in bytes."""

    name: str
    sha256: str
    size: int

    def __post_init__(self) -> None:
        check_component("blob name", self.name)
        if not isinstance(self.sha256, str) or not _SHA256.fullmatch(self.sha256):
            raise BundleError(f"The blob {self.name} needs a sha256 of 64 lower-case hex digits, not {self.sha256!r}.")
        if type(self.size) is not int or not 0 <= self.size <= MAX_BLOB_BYTES:
            raise BundleError(
                f"The blob {self.name} needs a size in whole bytes, at most {MAX_BLOB_BYTES}, not {self.size!r}."
            )


@dataclass(frozen=True)
class RuntimeRange:
    """Versions of ONNX Runtime that may run a bundle: `at_least` and later ones, but not `below` or later.

    Raises BundleError for texts that are no versions such as 1.31.1, and for a range that holds none.
    """

    at_least: str
    below: str

    def __post_init__(self) -> None:
        for version in (self.at_least, self.below):
            if not isinstance(version, str) or not _VERSION.fullmatch(version):
                raise BundleError(f"The range of ONNX Runtime needs versions such as 1.31.1, not {version!r}.")
        if not self.holds(self.at_least):
            raise BundleError(f"The range of ONNX Runtime from {self.at_least} to below {self.below} holds no version.")

    @classmethod
    def measured_with(cls, version: str) -> "RuntimeRange":
        """Return the range for a model that was measured with a version: it and later patches of its minor release.

        A patch mends; the next minor release may have other kernels and another optimizer, and so other answers.
        """
        major, minor, patch, _ = _numbers(version)
        return cls(f"{major}.{minor}.{patch}", f"{major}.{minor + 1}")

    def holds(self, version: str) -> bool:
        """Tell whether a version is in the range; what follows its numbers, as in 1.31.1+cpu, does not count."""
        return _numbers(self.at_least) <= _numbers(version) < _numbers(self.below)

    def __str__(self) -> str:
        return f"{self.at_least} or later, below {self.below}"


def _numbers(version: str) -> tuple[int, ...]:
    leading = re.split(r"[^0-9.]", version)[0]
    found = [int(number) for number in leading.split(".") if number][:4]
    return (*found, *(0 for _ in range(4 - len(found))))


@dataclass(frozen=True)
class Manifest:
    """The whole description of a bundle; two manifests that are equal have the same digest.

    `entry` names the blob that is the ONNX graph to run; its large weights are blobs whose names are their sha256, as
    the graph names them. `onnxruntime` is the range of versions that may run it. `lineage` says where the model came
    from, as text; its `verdict` is the outcome of the gates. An overridden verdict has the four keys of APPROVAL.
    Raises BundleError for names that are no path components, an entry that is no blob, and names given twice.
    """

    model: str
    version: str
    device: str
    entry: str
    blobs: tuple[Blob, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    session: SessionSettings
    onnxruntime: RuntimeRange
    lineage: Mapping[str, str]
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        check_component("model name", self.model)
        check_component("device name", self.device)
        if not is_plain_text(self.version):
            raise BundleError(f"The model version must be a printable text that is not empty, not {self.version!r}.")
        if not _is_current(self.format_version):
            raise BundleError(f"This runtime writes format {FORMAT_VERSION} only, not {self.format_version!r}.")
        self._check_names()
        if not all(isinstance(text, str) for pair in self.lineage.items() for text in pair):
            raise BundleError(f"The lineage must map text to text, not {dict(self.lineage)!r}.")
        odd = [text for pair in self.lineage.items() for text in pair if text and not is_plain_text(text)]
        if odd:
            raise BundleError(f"The lineage must be printable text on one line, not {odd[0]!r}; write it without.")
        self._check_approval()

    @property
    def approval(self) -> dict[str, str]:
        """The person who released against the gates, the reason and the last day; empty if every gate passed."""
        return {key: self.lineage[key] for key in APPROVAL if key in self.lineage}

    def _check_approval(self) -> None:
        expected = set(APPROVAL) if self.lineage.get("verdict") == OVERRIDDEN else set()
        given = {key for key, text in self.approval.items() if text}
        if given != expected or len(self.approval) != len(given):
            raise BundleError(
                f"A release with the verdict {self.lineage.get('verdict')!r} must name "
                f"{sorted(expected) or 'no approval'}, not {sorted(self.approval)}; only an approval overrides."
            )

    def _check_names(self) -> None:
        for what, items in (("blob", self.blobs), ("input", self.inputs), ("output", self.outputs)):
            names = [item.name for item in items]
            if not names:
                raise BundleError(f"A bundle needs at least one {what}; this manifest of {self.model} has none.")
            if len(set(names)) != len(names):
                raise BundleError(f"Every {what} needs a name of its own; {self.model} has {names}.")
        names = [blob.name for blob in self.blobs]
        if self.entry not in names:
            raise BundleError(f"The entry {self.entry!r} is none of the blobs {names}; name the ONNX graph to run.")


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
    if len(data) > MAX_BYTES:
        raise BundleError(f"The manifest must have at most {MAX_BYTES} bytes, not {len(data)}; fetch the bundle again.")
    try:
        manifest = _manifest(json.loads(data.decode("ascii"), parse_constant=_refused))
    except (ValueError, RecursionError) as error:  # a deep document may be read and still be too deep to be shown
        raise BundleError(f"The manifest is not JSON ({error}); fetch the bundle again.") from error
    if encode_manifest(manifest) != data:
        raise BundleError("The manifest is not in its canonical form; only write_bundle may write one.")
    return manifest


def _refused(constant: str) -> object:
    raise ValueError(f"{constant} is no number of JSON")


def _is_current(version: object) -> bool:
    return type(version) is int and version == FORMAT_VERSION


def _manifest(document: object) -> Manifest:
    if isinstance(document, dict) and not _is_current(document.get("format_version")):
        raise BundleError(_other_format(document.get("format_version")))
    entries = _entries(document, Manifest, "The manifest")
    entries["blobs"] = _items(entries["blobs"], _blob, "blobs")
    entries["inputs"] = _items(entries["inputs"], _tensor, "inputs")
    entries["outputs"] = _items(entries["outputs"], _tensor, "outputs")
    entries["session"] = _session(entries["session"])
    entries["onnxruntime"] = RuntimeRange(**_entries(entries["onnxruntime"], RuntimeRange, "The range of ONNX Runtime"))
    if not isinstance(entries["lineage"], dict):
        raise BundleError(f"The manifest's lineage must be an object, not {entries['lineage']!r}.")
    return Manifest(**entries)


def _other_format(found: object) -> str:
    remedy = (
        "publish the model again with this release" if found == 1 else "use the runtime of the release that wrote it"
    )
    return f"The manifest has format version {found!r}, this runtime reads {FORMAT_VERSION}; {remedy}."


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

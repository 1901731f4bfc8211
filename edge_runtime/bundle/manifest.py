"""What a bundle says about itself: its blobs, its tensors, how to run it, and where it came from."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from edge_runtime.errors import BundleError
from edge_runtime.settings import SessionSettings

FORMAT_VERSION = 1
OVERRIDDEN = "overridden"
APPROVAL = ("approved_by", "approval_reason", "approved_until", "approved_verdict")

_COMPONENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def check_component(what: str, name: object) -> None:
    """Raise BundleError unless a name can be one part of a path, on any file system."""
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
        if type(self.size) is not int or self.size < 0:
            raise BundleError(f"The blob {self.name} needs a size in whole bytes, not {self.size!r}.")


@dataclass(frozen=True)
class TensorSpec:
    """A tensor that a model takes or gives: numpy's name of its dtype, and a shape with None where it is dynamic."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not isinstance(self.dtype, str) or not self.name or not self.dtype:
            raise BundleError(f"A tensor needs a name and a dtype, not {self.name!r} and {self.dtype!r}.")
        if any(size is not None and (type(size) is not int or size < 0) for size in self.shape):
            raise BundleError(
                f"The tensor {self.name} has the shape {self.shape!r}; give whole sizes, None if dynamic."
            )


@dataclass(frozen=True)
class Manifest:
    """The whole description of a bundle; two manifests that are equal have the same digest.

    `entry` names the blob that is the ONNX graph to run. `lineage` says where the model came from, as text; its
    `verdict` is what the gates said, and where that was overridden it says who answers for it, why and until when.
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
    lineage: Mapping[str, str]
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        check_component("model name", self.model)
        check_component("device name", self.device)
        if not isinstance(self.version, str) or not self.version:
            raise BundleError(f"The model version must be a text that is not empty, not {self.version!r}.")
        if self.format_version != FORMAT_VERSION:
            raise BundleError(f"This runtime writes format {FORMAT_VERSION} only, not {self.format_version!r}.")
        self._check_names()
        if not all(isinstance(text, str) for pair in self.lineage.items() for text in pair):
            raise BundleError(f"The lineage must map text to text, not {dict(self.lineage)!r}.")
        self._check_approval()

    @property
    def approval(self) -> dict[str, str]:
        """Who answers for a release against its gates, why and until when; empty where the gates let it through."""
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

"""The manifest of a bundle: all that a device has to know before it runs a model."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from edge_runtime.bundle.parts import (
    Blob,
    DeclaredHead,
    Delta,
    Golden,
    Measured,
    RuntimeRange,
    Spread,
    Validity,
    check_component,
    check_version,
)
from edge_runtime.errors import BundleError
from edge_runtime.settings import SessionSettings, TensorSpec, is_plain_text

FORMAT_VERSION = 3
LEAST_RUNTIME = "0.1.0"
"""The oldest release of this package that reads such a manifest."""
PASSED = "pass"
OVERRIDDEN = "overridden"
APPROVAL = ("approved_by", "approval_reason", "approved_until", "approved_verdict")


@dataclass(frozen=True)
class Manifest:
    """The whole description of a bundle; two manifests that are equal have the same digest.

    `entry` names the blob that is the ONNX graph to run; its large weights are blobs whose names are their sha256, as
    the graph names them. With `heads`, it is the backbone that they read, and the outputs are theirs, in their order;
    they may share weights. `onnxruntime` is the range of versions that may run it, `runtime` the least version of this
    package. `lineage` says where the model came from, as text; its `verdict` is the outcome of the gates. An overridden
    verdict has the four keys of APPROVAL. `documents` are files for people, such as the bill of materials; a device
    needs none of them. Raises BundleError for names that are no path components, for names given twice, for heads that
    do not give each output once, and for an entry, heads, golden vectors, spreads and deltas of what is not in this
    manifest.
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
    golden: Golden | None = None
    validity: Validity = field(default_factory=Validity)
    measured: Measured = field(default_factory=Measured)
    spreads: tuple[Spread, ...] = ()
    documents: tuple[Blob, ...] = ()
    deltas: tuple[Delta, ...] = ()
    heads: tuple[DeclaredHead, ...] = ()
    runtime: str = LEAST_RUNTIME
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        check_component("model name", self.model)
        check_component("device name", self.device)
        check_version("least runtime", self.runtime)
        if not is_plain_text(self.version):
            raise BundleError(f"The model version must be a printable text that is not empty, not {self.version!r}.")
        if not is_current(self.format_version):
            raise BundleError(f"This runtime writes format {FORMAT_VERSION} only, not {self.format_version!r}.")
        self._check_names()
        self._check_references()
        self._check_heads()
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

    @property
    def release(self) -> str:
        """The release number, as text; empty where it has none."""
        return self.lineage.get("release", "")

    @property
    def graphs(self) -> tuple[str, ...]:
        """The blobs that are ONNX graphs: the entry, and those of the heads."""
        return (self.entry, *(head.graph for head in self.heads))

    @property
    def files(self) -> tuple[Blob, ...]:
        """Every file that lies among the blobs for this bundle: the model's, documents, and deltas by their sha256."""
        deltas = {delta.sha256: Blob(delta.sha256, delta.sha256, delta.size) for delta in self.deltas}
        return (*self.blobs, *self.documents, *deltas.values())

    def blob(self, name: str) -> Blob:
        """Return a blob by its name; an unknown name is a BundleError."""
        for blob in self.blobs:
            if blob.name == name:
                return blob
        raise BundleError(f"The manifest of {self.model} has no blob {name!r}, only {[b.name for b in self.blobs]}.")

    def _check_approval(self) -> None:
        expected = set(APPROVAL) if self.lineage.get("verdict") == OVERRIDDEN else set()
        given = {key for key, text in self.approval.items() if text}
        if given != expected or len(self.approval) != len(given):
            raise BundleError(
                f"A release with the verdict {self.lineage.get('verdict')!r} must name "
                f"{sorted(expected) or 'no approval'}, not {sorted(self.approval)}; only an approval overrides."
            )

    def _check_names(self) -> None:
        for what, needed in (("blob", self.blobs), ("input", self.inputs), ("output", self.outputs)):
            if not needed:
                raise BundleError(f"A bundle needs at least one {what}; this manifest of {self.model} has none.")
        named: dict[str, list[object]] = {
            "blob or document": [blob.name for blob in (*self.blobs, *self.documents)],
            "input": [spec.name for spec in self.inputs],
            "output": [spec.name for spec in self.outputs],
            "spread": [spread.name for spread in self.spreads],
            "delta": [(delta.blob, delta.base) for delta in self.deltas],
            "head": [head.name for head in self.heads],
        }
        for what, names in named.items():
            if len(set(names)) != len(names):
                raise BundleError(f"Every {what} needs a name of its own; {self.model} has {names}.")

    def _check_heads(self) -> None:
        if not self.heads:
            return
        blobs = {blob.name: blob.sha256 for blob in self.blobs}
        for head in self.heads:
            if head.graph not in blobs:
                raise BundleError(
                    f"The head {head.name} needs the blob {head.graph!r}, and it is none of {sorted(blobs)}."
                )
            if blobs[head.graph] == blobs[self.entry]:
                raise BundleError(
                    f"The head {head.name} is the backbone itself; a head is a graph that reads what that gives."
                )
        outputs = [spec.name for spec in self.outputs]
        given = [output for head in self.heads for output in head.outputs]
        twice = sorted({output for output in given if given.count(output) > 1})
        if twice:
            raise BundleError(f"The output {twice[0]!r} of {self.model} is given twice; each is of one head.")
        if lacking := [output for output in outputs if output not in given]:
            raise BundleError(f"No head of {self.model} gives the output {lacking[0]!r}; they give {given}.")
        if given != outputs:
            raise BundleError(
                f"The outputs of {self.model} must be those of its heads in their order, {given}, not {outputs}."
            )

    def _check_references(self) -> None:
        names = [blob.name for blob in self.blobs]
        if self.entry not in names:
            raise BundleError(f"The entry {self.entry!r} is none of the blobs {names}; name the ONNX graph to run.")
        if self.golden is not None and self.golden.blob not in names:
            raise BundleError(f"The golden vectors {self.golden.blob!r} are none of the blobs {names}.")
        outputs = {spec.name for spec in self.outputs}
        if self.golden is not None and set(self.golden.tolerance) != outputs:
            raise BundleError(
                f"The golden vectors need a tolerance for each of the outputs {sorted(outputs)}, not "
                f"{sorted(self.golden.tolerance)}."
            )
        strange = {spread.name for spread in self.spreads} - outputs - {spec.name for spec in self.inputs}
        if strange:
            raise BundleError(f"The spread of {sorted(strange)[0]!r} is of no input and no output of {self.model}.")
        made = {delta.blob for delta in self.deltas} - {blob.sha256 for blob in self.blobs}
        if made:
            raise BundleError(f"The delta for {sorted(made)[0]} makes no blob of this manifest of {self.model}.")


def is_current(version: object) -> bool:
    """Tell whether a format version is the one that this runtime reads and writes."""
    return type(version) is int and version == FORMAT_VERSION

"""Parts of a manifest: blobs, heads, deltas, versions that may run it, golden vectors, spreads, and the validity."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from edge_runtime.errors import BundleError
from edge_runtime.settings import is_component, is_plain_text

MAX_BLOB_BYTES = 1 << 40
MAX_ROWS = 1 << 20
MAX_NUMBER = 1e300
QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
"""Shares of the values that lie at or below each quantile of a Spread."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_COUNT = re.compile(r"[1-9][0-9]{0,8}")
_VERSION = re.compile(r"(0|[1-9][0-9]{0,5})(\.(0|[1-9][0-9]{0,5})){1,3}")


def check_component(what: str, name: object) -> None:
    """Raise BundleError unless a name can be one part of a path on any file system."""
    if not is_component(name):
        raise BundleError(
            f"The {what} {name!r} cannot be part of a path: use 1 to 128 letters, digits, dots, dashes "
            "or underscores, beginning with a letter or a digit."
        )


def check_sha256(what: str, digest: object) -> None:
    """Raise BundleError unless a digest is one as blobs are named by."""
    if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
        raise BundleError(f"The {what} needs a sha256 of 64 lower-case hex digits, not {digest!r}.")


def _check_size(what: str, size: object) -> None:
    if type(size) is not int or not 0 <= size <= MAX_BLOB_BYTES:
        raise BundleError(f"The {what} needs a size in whole bytes, at most {MAX_BLOB_BYTES}, not {size!r}.")


def _check_number(what: str, number: object) -> None:
    if type(number) not in (int, float) or not abs(number) <= MAX_NUMBER:  # type: ignore[arg-type]
        raise BundleError(f"The {what} must be a finite number, not {number!r}.")


@dataclass(frozen=True)
class Blob:
    """A file of the bundle: its name in the manifest, the sha256 that it is stored under, its size in bytes."""

    name: str
    sha256: str
    size: int

    def __post_init__(self) -> None:
        check_component("blob name", self.name)
        check_sha256(f"blob {self.name}", self.sha256)
        _check_size(f"blob {self.name}", self.size)


@dataclass(frozen=True)
class DeclaredHead:
    """A head of a backbone: its name, the blob that is its ONNX graph, and the outputs that it gives, in their order.

    It reads outputs of the backbone, which is the manifest's entry, and nothing else.
    """

    name: str
    graph: str
    outputs: tuple[str, ...]

    def __post_init__(self) -> None:
        check_component("name of a head", self.name)
        check_component(f"blob of the head {self.name}", self.graph)
        if not self.outputs or not all(is_plain_text(output) for output in self.outputs):
            raise BundleError(
                f"The head {self.name} needs the printable names of the outputs that it gives, not {self.outputs!r}."
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
            check_version("range of ONNX Runtime", version)
        if not self.holds(self.at_least):
            raise BundleError(f"The range of ONNX Runtime from {self.at_least} to below {self.below} holds no version.")

    @classmethod
    def measured_with(cls, version: str) -> "RuntimeRange":
        """Return the range for a model that was measured with a version: it and later patches of its minor release.

        A patch mends; the next minor release may have other kernels and another optimizer, and so other answers.
        """
        major, minor, patch, _ = numbers_of(version)
        return cls(f"{major}.{minor}.{patch}", f"{major}.{minor + 1}")

    def holds(self, version: str) -> bool:
        """Tell whether a version is in the range; what follows its numbers, as in 1.31.1+cpu, does not count."""
        return numbers_of(self.at_least) <= numbers_of(version) < numbers_of(self.below)

    def __str__(self) -> str:
        return f"{self.at_least} or later, below {self.below}"


def check_version(what: str, version: object) -> None:
    """Raise BundleError unless a text is a version such as 1.31.1."""
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise BundleError(f"The {what} needs versions such as 1.31.1, not {version!r}.")


def numbers_of(version: str) -> tuple[int, ...]:
    """Return the four leading numbers of a version, 0 where it has fewer."""
    leading = re.split(r"[^0-9.]", version)[0]
    found = [int(number) for number in leading.split(".") if number][:4]
    return (*found, *(0 for _ in range(4 - len(found))))


@dataclass(frozen=True)
class Golden:
    """Golden vectors: rows with the answers that the measured file gave to them.

    `blob` names an .npz archive with an array `in.NAME` for each input and `out.NAME` for each output, all with `rows`
    rows. They were answered `batch` rows at a time. An answer may differ by `tolerance[NAME]` at most, in the unit of
    that output.
    """

    blob: str
    rows: int
    batch: int
    tolerance: Mapping[str, float]

    def __post_init__(self) -> None:
        check_component("blob of golden vectors", self.blob)
        if type(self.rows) is not int or not 1 <= self.rows <= MAX_ROWS:
            raise BundleError(f"The golden vectors need 1 to {MAX_ROWS} rows, not {self.rows!r}.")
        if type(self.batch) is not int or not 1 <= self.batch <= self.rows:
            raise BundleError(f"The golden vectors need a batch of 1 to {self.rows} rows, not {self.batch!r}.")
        if not isinstance(self.tolerance, dict) or not self.tolerance:
            raise BundleError(f"The golden vectors need a tolerance for each output, not {self.tolerance!r}.")
        for name, bound in self.tolerance.items():
            if not is_plain_text(name):
                raise BundleError(f"A tolerance needs the printable name of an output, not {name!r}.")
            _check_number(f"tolerance of {name}", bound)
            if bound < 0:
                raise BundleError(f"The tolerance of {name} must not be below 0, not {bound!r}.")


@dataclass(frozen=True)
class Spread:
    """The values of one tensor on the calibration rows, against which a device sees drift.

    `quantiles` are those of QUANTILES, over all elements; `mean` and `std` are over the same.
    """

    name: str
    rows: int
    mean: float
    std: float
    quantiles: tuple[float, ...]

    def __post_init__(self) -> None:
        if not is_plain_text(self.name):
            raise BundleError(f"A spread needs the printable name of a tensor, not {self.name!r}.")
        if type(self.rows) is not int or self.rows < 1:
            raise BundleError(f"The spread of {self.name} needs a number of rows of at least 1, not {self.rows!r}.")
        if len(self.quantiles) != len(QUANTILES):
            raise BundleError(f"The spread of {self.name} needs {len(QUANTILES)} quantiles, not {self.quantiles!r}.")
        for number in (self.mean, self.std, *self.quantiles):
            _check_number(f"spread of {self.name}", number)


@dataclass(frozen=True)
class Delta:
    """A file, named by its sha256, that makes a blob of this bundle from one (`base`) that the device may have."""

    blob: str
    base: str
    sha256: str
    size: int

    def __post_init__(self) -> None:
        for digest in (self.blob, self.base, self.sha256):
            check_sha256("delta", digest)
        _check_size("delta", self.size)
        if self.blob == self.base:
            raise BundleError(f"A delta makes a blob from another one, not {self.blob} from itself.")


@dataclass(frozen=True)
class Validity:
    """The devices that a verdict holds for: their instruction sets, or any where the recipe has accepted that."""

    instruction_sets: tuple[str, ...] = ()
    elsewhere: bool = False

    def __post_init__(self) -> None:
        for name in self.instruction_sets:
            check_component("instruction set", name)
        if type(self.elsewhere) is not bool:
            raise BundleError(f"The validity needs `elsewhere` as true or false, not {self.elsewhere!r}.")

    def holds_on(self, instruction_set: str | None) -> bool:
        """Tell whether the verdict holds on a CPU; None is one that no profile names."""
        return self.elsewhere or instruction_set in self.instruction_sets


@dataclass(frozen=True)
class Measured:
    """Figures of the very file as it was measured: by the name of the resource, and the median time by batch size.

    Keys of `figures` are those of edge_runtime.measurement.RESOURCES; `batch_ms` has milliseconds by rows, as text.
    """

    figures: Mapping[str, float] = field(default_factory=dict)
    batch_ms: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for what, table in (("figures", self.figures), ("batch curve", self.batch_ms)):
            if not isinstance(table, dict) or not all(isinstance(key, str) and is_plain_text(key) for key in table):
                raise BundleError(f"The {what} must be an object with names as keys, not {table!r}.")
            for key, number in table.items():
                _check_number(f"figure {key}", number)
        if not all(_COUNT.fullmatch(key) for key in self.batch_ms):
            raise BundleError(f"The batch curve needs numbers of rows as keys, not {sorted(self.batch_ms)}.")

"""The terms on which a bundle may answer beside the one that runs: its budget, and the tensors that it must have."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edge_runtime.bundle import Manifest, TensorSpec
from edge_runtime.errors import InstallError

_MIB = 1 << 20


@dataclass(frozen=True)
class ShadowBudget:
    """The most that a shadow takes: a share of the requests and of the time, and MiB of memory.

    `share` is above 0 and at most 1. Without `memory_mb`, only what the device has free bounds it. Raises InstallError
    for other numbers.
    """

    share: float
    memory_mb: float | None = None

    def __post_init__(self) -> None:
        if not _is_number(self.share) or not 0 < self.share <= 1:
            raise InstallError(f"The share of a shadow must be above 0 and at most 1, not {self.share!r}.")
        if self.memory_mb is not None and not (_is_number(self.memory_mb) and self.memory_mb > 0):
            raise InstallError(f"The memory of a shadow must be a number of MiB above 0, not {self.memory_mb!r}.")

    def check_memory(self, manifest: Manifest) -> None:
        """Raise InstallError where a bundle needs more than the budget allows."""
        needed = needed_mb(manifest)
        if self.memory_mb is not None and needed > self.memory_mb:
            raise InstallError(
                f"{manifest.model} version {manifest.version} needs about {needed:.0f} MiB as a shadow, and "
                f"{self.memory_mb:g} MiB are allowed; allow more, or leave it."
            )


def needed_mb(manifest: Manifest) -> float:
    """Return the MiB that a bundle needs in memory: its measured peak, which is that of a whole process.

    A bundle without that figure may need its files twice, as kernels rearrange weights while they load.
    """
    peak = manifest.measured.figures.get("peak_rss_mb")
    return 2 * sum(blob.size for blob in manifest.blobs) / _MIB if peak is None else peak


def shadow_misfit(
    inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec],
    shadow_inputs: Sequence[TensorSpec], shadow_outputs: Sequence[TensorSpec],
) -> str | None:  # fmt: skip
    """Return in a sentence why a shadow cannot be compared with the tensors that serve; None where it can be.

    It must take every request that the other takes, and give one of its outputs or more.
    """
    taken = {spec.name: spec for spec in shadow_inputs}
    if set(taken) != {spec.name for spec in inputs}:
        return f"it takes the inputs {sorted(taken)}, and what serves takes {sorted(spec.name for spec in inputs)}"
    for spec in inputs:
        other = taken[spec.name]
        if spec.dtype != other.dtype or not _takes(other.shape, spec.shape):
            return (
                f"it takes the input {spec.name} as {other.dtype} in the shape {other.shape}, and what serves takes "
                f"{spec.dtype} in {spec.shape}"
            )
    given, others = ({spec.name for spec in specs} for specs in (outputs, shadow_outputs))
    if not given & others:
        return f"it gives the outputs {sorted(others)}, and none of those that serve, {sorted(given)}"
    return None


def _takes(shape: Sequence[int | None], asked: Sequence[int | None]) -> bool:
    return len(shape) == len(asked) and all(
        size is None or size == other for size, other in zip(shape, asked, strict=True)
    )


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]

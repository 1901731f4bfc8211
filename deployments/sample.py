"""A sample of what the deployment sites see, and what makes it comparable with the splits."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from deployments.errors import ConfigurationError
from deployments.split import Split, SplitName

_REMEDY = "correct Workload.deployment_sample"


@dataclass(frozen=True)
class DeploymentSample:
    """Rows from the sites that no split has: inputs as in a Split, its slice columns, and labels where they are known.

    `slices` may lack columns of the splits, but has none that they lack. Rows should be drawn as the model meets them.
    """

    inputs: tuple[np.ndarray, ...]
    slices: pd.DataFrame
    targets: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.slices)

    @cached_property
    def digest(self) -> str:
        """sha256 of all arrays and slice columns."""
        digest = hashlib.sha256()
        for array in (*self.inputs, *([] if self.targets is None else [self.targets])):
            digest.update(f"{array.dtype}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        digest.update(self.slices.to_csv(index=False).encode())
        return digest.hexdigest()


def check_sample(sample: object, splits: Mapping[SplitName, Split]) -> DeploymentSample:
    """Return the sample; raises ConfigurationError unless it is whole and has rows like those of the splits."""
    if not isinstance(sample, DeploymentSample) or not _typed(sample):
        raise ConfigurationError(
            "expected a DeploymentSample of a tuple of numpy arrays (one per model input), a pandas DataFrame of slice "
            f"columns, and a numpy array of targets or None, got {_described(sample)}; {_REMEDY}"
        )
    _check_lengths(sample)
    _check_kinds(sample, splits["train"])
    _check_finite(sample)
    _check_columns(sample, splits)
    return sample


def _typed(sample: DeploymentSample) -> bool:
    arrays = (*sample.inputs, *([] if sample.targets is None else [sample.targets]))
    return (
        isinstance(sample.inputs, tuple)
        and bool(sample.inputs)
        and isinstance(sample.slices, pd.DataFrame)
        and all(isinstance(array, np.ndarray) and array.ndim for array in arrays)
    )


def _check_lengths(sample: DeploymentSample) -> None:
    lengths = {f"input {index}": len(array) for index, array in enumerate(sample.inputs)}
    lengths |= {"slices": len(sample.slices)} | ({} if sample.targets is None else {"targets": len(sample.targets)})
    if len(set(lengths.values())) > 1 or not len(sample):
        got = ", ".join(f"{length} {what}" for what, length in lengths.items())
        raise ConfigurationError(
            f"expected at least one row and the same number of rows everywhere, got {got}; {_REMEDY}"
        )


def _check_kinds(sample: DeploymentSample, train: Split) -> None:
    def kinds(inputs: tuple[np.ndarray, ...], targets: np.ndarray) -> str:
        described = ", ".join(f"{array.dtype} with {array.ndim} axes" for array in inputs)
        return f"inputs ({described}) and {targets.dtype} targets"

    expected = kinds(train.inputs, train.targets)
    got = kinds(sample.inputs, train.targets if sample.targets is None else sample.targets)
    if expected != got:
        raise ConfigurationError(f"expected {expected} as in the train split, got {got}; {_REMEDY}")


def _check_finite(sample: DeploymentSample) -> None:
    for array in (*sample.inputs, *([] if sample.targets is None else [sample.targets])):
        bad = int((~np.isfinite(array)).reshape(len(array), -1).any(axis=1).sum())
        if bad:
            raise ConfigurationError(
                f"expected finite numbers, got NaN or infinity in {bad} of {len(array)} rows; clean them as the "
                "device does, or drop them in Workload.deployment_sample"
            )


def _check_columns(sample: DeploymentSample, splits: Mapping[SplitName, Split]) -> None:
    known = list(dict.fromkeys(column for split in splits.values() for column in split.slices.columns))
    columns = list(sample.slices.columns)
    if len(set(columns)) != len(columns) or not set(columns) <= set(known):
        listed = ", ".join(map(str, known)) or "they have none"
        raise ConfigurationError(
            f"expected slice columns that the splits have, each once ({listed}), got "
            f"{', '.join(map(str, columns))}; {_REMEDY}"
        )


def _described(sample: object) -> str:
    if not isinstance(sample, DeploymentSample):
        return type(sample).__name__
    inputs = sample.inputs
    content = [type(item).__name__ for item in inputs] if isinstance(inputs, tuple) else type(inputs).__name__
    return f"inputs {content}, slices {type(sample.slices).__name__}, targets {type(sample.targets).__name__}"

"""Rows that a workload returns, splits and the sample from the deployment sites, and the checks of both.

A split is fit for training, measuring and slicing; a sample is comparable with the splits. Whatever is not raises
ConfigurationError with a remedy.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
import pandas as pd

from deployments.errors import ConfigurationError
from deployments.mapped import parts_of
from quality_gates.evidence import OPTIONAL, REQUIRED, is_reserved

SplitName = Literal["train", "calibration", "validation", "test"]
SPLITS: tuple[SplitName, ...] = get_args(SplitName)
RESERVED = frozenset({*REQUIRED, *OPTIONAL})
"""Column names that measured rows have beside the slice columns, also behind candidate_ and reference_."""
TASK = "task"
"""The slice column of a family's validation and test rows that names the member whose task a row asks."""
_NUMBERS = "biuf"
_LARGEST = 8  # bytes of a number that torch has
_REMEDY = "correct Workload.deployment_sample"


@dataclass(frozen=True)
class Split:
    """Rows of one split: one array per model input, the targets, and slice columns.

    `inputs` are arrays of shape (rows, ...) in the order of the model's inputs; `targets` has shape (rows, ...);
    `slices` is a frame of the same length, whose columns (label, site, sensor, ...) gates and reports can slice by.
    """

    inputs: tuple[np.ndarray, ...]
    targets: np.ndarray
    slices: pd.DataFrame

    def __len__(self) -> int:
        return len(self.targets)

    @cached_property
    def digest(self) -> str:
        """The sha256 of all arrays and slice columns."""
        return _digest((*self.inputs, self.targets), self.slices)


@dataclass(frozen=True)
class DeploymentSample:
    """Rows from the deployment sites that no split has: inputs as in a Split, slice columns, and labels where known.

    `slices` may lack columns of the splits but has no others. Rows should be drawn as the model meets them.
    """

    inputs: tuple[np.ndarray, ...]
    slices: pd.DataFrame
    targets: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.slices)

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """The inputs, and the targets where they are known."""
        return self.inputs if self.targets is None else (*self.inputs, self.targets)

    @cached_property
    def digest(self) -> str:
        """The sha256 of all arrays and slice columns."""
        return _digest(self.arrays, self.slices)


def check_splits(splits: Mapping[SplitName, Split], *, gaps: bool = False) -> None:
    """Check that every split is usable and that they fit each other.

    With `gaps`, NaN in targets is meant: it says that a row of a family is not known to a task.

    Raises:
        ConfigurationError: the first thing that is wrong, with its remedy.
    """
    for name, split in splits.items():
        _check_types(name, split)
        _check_lengths(name, split)
        _check_finite(name, split.inputs if gaps else (*split.inputs, split.targets))
        _check_columns(name, split)
    for (name, split), (other, beside) in pairwise(splits.items()):
        kinds, kinds_beside = _kinds(split.inputs, split.targets), _kinds(beside.inputs, beside.targets)
        if kinds != kinds_beside:
            raise ConfigurationError(
                f"expected inputs and targets of the same types in every split, got {kinds} in {name} and "
                f"{kinds_beside} in {other}; convert them alike in Workload.split"
            )
    _check_same_columns(splits["validation"], splits["test"])


def _check_types(name: str, split: object) -> None:
    fits = (
        isinstance(split, Split)
        and isinstance(split.inputs, tuple)
        and bool(split.inputs)
        and isinstance(split.slices, pd.DataFrame)
        and all(isinstance(array, np.ndarray) and array.ndim for array in (*split.inputs, split.targets))
    )
    if not fits:
        raise ConfigurationError(
            f"split `{name}`: expected a Split of a tuple of numpy arrays (one per model input), a numpy array of "
            f"targets and a pandas DataFrame of slice columns, got {_described(split)}; correct Workload.split"
        )


def _check_lengths(name: str, split: Split) -> None:
    lengths = {
        **{f"input {index}": len(array) for index, array in enumerate(split.inputs)},
        "targets": len(split.targets),
        "slices": len(split.slices),
    }
    if set(lengths.values()) != {len(split)} or not len(split):
        got = ", ".join(f"{length} {what}" for what, length in lengths.items())
        raise ConfigurationError(
            f"split `{name}`: expected at least one row and the same number of rows everywhere, got {got}; "
            "correct Workload.split"
        )


def _check_finite(name: str, arrays: Iterable[np.ndarray]) -> None:
    for array in arrays:
        if array.dtype.kind not in _NUMBERS:
            raise ConfigurationError(
                f"split `{name}`: expected arrays of numbers, got dtype {array.dtype}; encode them in Workload.split"
            )
        if not array.dtype.isnative or array.dtype.itemsize > _LARGEST:
            raise ConfigurationError(
                f"split `{name}`: expected numbers as this machine computes with them, got dtype {array.dtype}; "
                "convert them in Workload.split, such as by array.astype(np.float32)"
            )
        if bad := _rows_not_finite(array):
            raise ConfigurationError(
                f"split `{name}`: expected finite numbers, got NaN or infinity in {bad} of {len(array)} rows; "
                "clean or drop them in Workload.split"
            )


def _check_columns(name: str, split: Split) -> None:
    columns = list(split.slices.columns)
    unusable = [column for column in columns if not isinstance(column, str) or is_reserved(column)]
    if unusable or len(set(columns)) != len(columns):
        raise ConfigurationError(
            f"split `{name}`: expected slice columns with names of their own, as text and none of "
            f"{', '.join(sorted(RESERVED))}, got {columns}; rename them in Workload.split"
        )


def _check_same_columns(validation: Split, test: Split) -> None:
    found, decided = sorted(validation.slices.columns), sorted(test.slices.columns)
    if found != decided:
        raise ConfigurationError(
            f"expected the same slice columns in validation and test, got {found} and {decided}; "
            "gates search on the one and decide on the other"
        )


def check_sample(sample: object, splits: Mapping[SplitName, Split], *, gaps: bool = False) -> DeploymentSample:
    """Return the sample if it is whole and has rows like those of the splits; `gaps` is as in check_splits.

    Raises:
        ConfigurationError: the first thing that is wrong, with its remedy.
    """
    if not isinstance(sample, DeploymentSample) or not _is_sample(sample):
        raise ConfigurationError(
            "expected a DeploymentSample of a tuple of numpy arrays (one per model input), a pandas DataFrame of slice "
            f"columns, and a numpy array of targets or None, got {_described_sample(sample)}; {_REMEDY}"
        )
    _check_sample_lengths(sample)
    _check_sample_kinds(sample, splits["train"])
    _check_sample_finite(sample.inputs if gaps else sample.arrays)
    _check_sample_columns(sample, splits)
    return sample


def _is_sample(sample: DeploymentSample) -> bool:
    return (
        isinstance(sample.inputs, tuple)
        and bool(sample.inputs)
        and isinstance(sample.slices, pd.DataFrame)
        and all(isinstance(array, np.ndarray) and array.ndim for array in sample.arrays)
    )


def _check_sample_lengths(sample: DeploymentSample) -> None:
    lengths = {f"input {index}": len(array) for index, array in enumerate(sample.inputs)}
    lengths |= {"slices": len(sample.slices)} | ({} if sample.targets is None else {"targets": len(sample.targets)})
    if len(set(lengths.values())) > 1 or not len(sample):
        got = ", ".join(f"{length} {what}" for what, length in lengths.items())
        raise ConfigurationError(
            f"expected at least one row and the same number of rows everywhere, got {got}; {_REMEDY}"
        )


def _check_sample_kinds(sample: DeploymentSample, train: Split) -> None:
    expected = _kinds(train.inputs, train.targets)
    got = _kinds(sample.inputs, train.targets if sample.targets is None else sample.targets)
    if expected != got:
        raise ConfigurationError(f"expected {expected} as in the train split, got {got}; {_REMEDY}")


def _check_sample_finite(arrays: Iterable[np.ndarray]) -> None:
    for array in arrays:
        if bad := _rows_not_finite(array):
            raise ConfigurationError(
                f"expected finite numbers, got NaN or infinity in {bad} of {len(array)} rows; clean them as the "
                "device does, or drop them in Workload.deployment_sample"
            )


def _check_sample_columns(sample: DeploymentSample, splits: Mapping[SplitName, Split]) -> None:
    known = list(dict.fromkeys(column for split in splits.values() for column in split.slices.columns))
    columns = list(sample.slices.columns)
    if len(set(columns)) != len(columns) or not set(columns) <= set(known):
        listed = ", ".join(map(str, known)) or "they have none"
        raise ConfigurationError(
            f"expected slice columns that the splits have, each once ({listed}), got "
            f"{', '.join(map(str, columns))}; {_REMEDY}"
        )


def _described_sample(sample: object) -> str:
    if not isinstance(sample, DeploymentSample):
        return type(sample).__name__
    inputs = sample.inputs
    content = [type(item).__name__ for item in inputs] if isinstance(inputs, tuple) else type(inputs).__name__
    return f"inputs {content}, slices {type(sample.slices).__name__}, targets {type(sample.targets).__name__}"


def _kinds(inputs: tuple[np.ndarray, ...], targets: np.ndarray) -> str:
    described = ", ".join(f"{array.dtype} with {array.ndim} axes" for array in inputs)
    return f"inputs ({described}) and {targets.dtype} targets"


def _described(split: object) -> str:
    if not isinstance(split, Split):
        return type(split).__name__
    inputs = split.inputs
    content = [type(item).__name__ for item in inputs] if isinstance(inputs, tuple) else type(inputs).__name__
    return f"inputs {content}, targets {type(split.targets).__name__}, slices {type(split.slices).__name__}"


def _digest(arrays: Iterable[np.ndarray], slices: pd.DataFrame) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype}{array.shape}".encode())
        for part in parts_of(array):
            digest.update(np.ascontiguousarray(part).tobytes())
    for column, values in slices.items():
        plain = values.to_numpy()  # text is `object` in it, whatever dtype pandas gives it
        digest.update(f"{column!r}\0{plain.dtype}\0".encode())
        digest.update(_told_apart(plain))
    return digest.hexdigest()


def _told_apart(plain: np.ndarray) -> bytes:
    """Return the values of a slice column as bytes that differ where slice conditions differ: 1 is not "1"."""
    if plain.dtype != object:
        return plain.tobytes()
    return "\0".join(map(word_of, plain)).encode()


def word_of(value: object) -> str:
    """Return the value of a slice column with its type. Text of every dtype is the same, and so is what is missing."""
    if isinstance(value, str):
        return f"str {str(value)!r}"
    missing = value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and np.isnan(value))
    return "missing" if missing else f"{type(value).__name__} {value!r}"


def _rows_not_finite(array: np.ndarray) -> int:
    return sum(int((~np.isfinite(part)).reshape(len(part), -1).any(axis=1).sum()) for part in parts_of(array))

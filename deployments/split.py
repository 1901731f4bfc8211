"""The rows of a split, and what makes them fit for training, measuring and slicing."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
import pandas as pd

from deployments.errors import ConfigurationError
from quality_gates.evidence import OPTIONAL, REQUIRED, is_reserved

SplitName = Literal["train", "calibration", "validation", "test"]
SPLITS: tuple[SplitName, ...] = get_args(SplitName)
RESERVED = frozenset({*REQUIRED, *OPTIONAL})
"""Column names that measured rows have beside the slice columns, also behind candidate_ and reference_."""
_NUMBERS = "biuf"


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
        """sha256 of all arrays and slice columns."""
        digest = hashlib.sha256()
        for array in (*self.inputs, self.targets):
            digest.update(f"{array.dtype}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        digest.update(self.slices.to_csv(index=False).encode())
        return digest.hexdigest()


def check_splits(splits: Mapping[SplitName, Split]) -> None:
    """Raise ConfigurationError unless every split is usable and they fit each other."""
    for name, split in splits.items():
        _check_types(name, split)
        _check_lengths(name, split)
        _check_finite(name, split)
        _check_columns(name, split)
    for (name, split), (other, beside) in pairwise(splits.items()):
        if _kinds(split) != _kinds(beside):
            raise ConfigurationError(
                f"expected inputs and targets of the same types in every split, got {_kinds(split)} in {name} and "
                f"{_kinds(beside)} in {other}; convert them alike in Workload.split"
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


def _check_finite(name: str, split: Split) -> None:
    for array in (*split.inputs, split.targets):
        if array.dtype.kind not in _NUMBERS:
            raise ConfigurationError(
                f"split `{name}`: expected arrays of numbers, got dtype {array.dtype}; encode them in Workload.split"
            )
        bad = int((~np.isfinite(array)).reshape(len(array), -1).any(axis=1).sum())
        if bad:
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


def _kinds(split: Split) -> str:
    inputs = ", ".join(f"{array.dtype} with {array.ndim} axes" for array in split.inputs)
    return f"inputs ({inputs}) and {split.targets.dtype} targets"


def _described(split: object) -> str:
    if not isinstance(split, Split):
        return type(split).__name__
    inputs = split.inputs
    content = [type(item).__name__ for item in inputs] if isinstance(inputs, tuple) else type(inputs).__name__
    return f"inputs {content}, targets {type(split.targets).__name__}, slices {type(split.slices).__name__}"

"""A torch data set as arrays that stay on disk: written once, item by item, then mapped into memory."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from deployments.errors import ConfigurationError
from edge_runtime.files import make_directories, write_synced

_WHOLE = "whole.json"
_NUMBERS = "biuf"


class Items(Protocol):
    """A torch data set with a length and items of inputs and a target, such as `(image, label)`."""

    def __len__(self) -> int:
        """Return the number of items."""

    def __getitem__(self, index: int, /) -> Sequence[object]:
        """Return an item: one tensor, array or number for each input, and the target last."""


def rows_of_data_set(items: Items, folder: Path, version: str) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Return the inputs and the targets of a data set, for a Split; only one item is in memory while they are written.

    They are written into `folder` at the first call, and again where `version`, a text that changes with the data, is
    another one. Raises ConfigurationError for a data set without items, and for items that are not alike or no numbers.
    """
    if not len(items):
        raise ConfigurationError(f"{folder}: expected a data set with items, got none; correct Workload.split")
    whole = folder / _WHOLE
    wanted = {"version": version, "rows": len(items)}
    if not whole.is_file() or json.loads(whole.read_text()).get("asked") != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        make_directories(folder)
        count = _write(items, folder)
        write_synced(whole, json.dumps({"asked": wanted, "arrays": count}).encode())
    count = json.loads(whole.read_text())["arrays"]
    *inputs, targets = (np.load(folder / f"{number}.npy", mmap_mode="c", allow_pickle=False) for number in range(count))
    return tuple(inputs), targets


def _write(items: Items, folder: Path) -> int:
    first = _parts(items, 0, folder)
    files = [
        np.lib.format.open_memmap(folder / f"{number}.npy", "w+", part.dtype, (len(items), *part.shape))
        for number, part in enumerate(first)
    ]
    for index in range(len(items)):
        parts = _parts(items, index, folder)
        if [(part.shape, part.dtype) for part in parts] != [(part.shape, part.dtype) for part in first]:
            raise ConfigurationError(
                f"{folder}: expected items like the first one, {_said(first)}, got {_said(parts)} at {index}; make "
                "them alike in the data set"
            )
        for file, part in zip(files, parts, strict=True):
            file[index] = part
    for file in files:
        file.flush()
    return len(files)


def _parts(items: Items, index: int, folder: Path) -> list[np.ndarray]:
    """Return the parts of an item as arrays. Raises ConfigurationError for an item that is no sequence of numbers."""
    item: object = items[index]
    if not isinstance(item, tuple | list) or len(item) < 2:
        raise ConfigurationError(
            f"{folder}: expected items of inputs and a target, such as (image, label), got {type(item).__name__} at "
            f"{index}; let the data set return a tuple of tensors, arrays or numbers"
        )
    parts = [_array(part) for part in item]
    if any(part.dtype.kind not in _NUMBERS for part in parts):
        raise ConfigurationError(
            f"{folder}: expected items of numbers, got {_said(parts)} at {index}; let the data set return tensors, "
            "arrays or numbers alone"
        )
    return parts


def _array(part: object) -> np.ndarray:
    """Return a part of an item as an array; a tensor is told by its method, so that nothing here loads torch."""
    detach = getattr(part, "detach", None)
    return np.asarray(part if detach is None else detach().cpu())


def _said(parts: Sequence[np.ndarray]) -> str:
    return ", ".join(f"{part.dtype} {part.shape}" for part in parts)

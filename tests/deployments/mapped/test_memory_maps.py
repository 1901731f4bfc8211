"""Maps of files: the same values and digests as arrays in memory, and changes that no file sees."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from torch import Tensor

from deployments.mapped import changeable, memory_maps, parts_of
from deployments.rows import SPLITS, Split, SplitName
from deployments.workload import Workload, read_splits
from model_compression.training import tensors

ROWS = np.random.default_rng(0).normal(size=(100, 3, 4)).astype(np.float32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    np.save(tmp_path / "rows.npy", ROWS)
    return tmp_path / "rows.npy"


@pytest.mark.parametrize("at_once", [1, 100, 1 << 20])
def test_parts_are_the_rows_in_order(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(memory_maps, "_AT_ONCE", at_once)
    parts = list(parts_of(ROWS))
    assert np.array_equal(np.concatenate(parts), ROWS)
    assert all(part.nbytes <= max(at_once, ROWS[:1].nbytes) for part in parts)


@pytest.mark.parametrize("taken", [slice(None), slice(10, 30)])
def test_a_read_only_map_becomes_one_that_can_be_changed(path: Path, taken: slice) -> None:
    mapped = np.load(path, mmap_mode="r")[taken]
    made = changeable(mapped)
    assert isinstance(made, np.memmap) and made.flags.writeable and np.array_equal(made, ROWS[taken])
    made[0] = 7
    assert np.array_equal(np.load(path), ROWS)


def test_what_trains_takes_no_copy_of_it(path: Path) -> None:
    made = changeable(np.load(path, mmap_mode="r"))
    (tensor,) = tensors((made,))
    assert tensor.data_ptr() == made.__array_interface__["data"][0]


def test_an_array_in_memory_and_a_map_in_another_order_stay_what_they_are(path: Path) -> None:
    turned = np.load(path, mmap_mode="r").transpose(0, 2, 1)
    assert changeable(ROWS) is ROWS and changeable(turned) is turned


def test_a_map_has_the_digest_of_its_rows(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slices, targets = pd.DataFrame(index=range(100)), np.arange(100)
    in_memory = Split((ROWS,), targets, slices).digest
    monkeypatch.setattr(memory_maps, "_AT_ONCE", 100)
    assert Split((np.load(path, mmap_mode="r"),), targets, slices).digest == in_memory


class Mapped(Workload):
    """Rows of a file, as `numpy.load` maps it."""

    path: ClassVar[Path]

    def split(self, name: SplitName) -> Split:
        start = SPLITS.index(name) * 25
        rows = np.load(self.path, mmap_mode="r")[start : start + 25]
        return Split((rows,), np.arange(25), pd.DataFrame(index=range(25)))

    def loss(self, outputs: Tensor, _targets: Tensor) -> Tensor:
        return outputs.mean()


def test_splits_are_read_without_a_copy(path: Path) -> None:
    Mapped.path = path
    for name, split in read_splits(Mapped()).items():
        (rows,) = split.inputs
        assert isinstance(rows, np.memmap) and rows.flags.writeable
        assert np.array_equal(rows, ROWS[SPLITS.index(name) * 25 :][:25])

"""Torch data sets as arrays on disk: written once, and again when the data are others."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from deployments.errors import ConfigurationError
from deployments.mapped import rows_of_data_set


class Pictures(Dataset[tuple[Tensor, int]]):
    """Pictures whose values are their number; it counts how often one is asked for."""

    def __init__(self, count: int, odd: int | None = None) -> None:
        self.count, self.odd, self.asked = count, odd, 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        self.asked += 1
        return torch.full((1, 2, 3 if index == self.odd else 2), float(index)), index % 3


def test_items_become_rows(tmp_path: Path) -> None:
    (pictures,), targets = rows_of_data_set(Pictures(5), tmp_path / "train", "1")
    assert isinstance(pictures, np.memmap) and pictures.shape == (5, 1, 2, 2) and pictures.dtype == np.float32
    assert pictures[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4] and targets.tolist() == [0, 1, 2, 0, 1]


def test_they_are_written_once_for_a_version(tmp_path: Path) -> None:
    rows_of_data_set(Pictures(5), tmp_path / "train", "1")
    again = Pictures(5)
    rows_of_data_set(again, tmp_path / "train", "1")
    assert again.asked == 0
    rows_of_data_set(again, tmp_path / "train", "2")
    assert again.asked == 6  # the first one twice


def test_what_was_not_finished_is_written_again(tmp_path: Path) -> None:
    folder = tmp_path / "train"
    rows_of_data_set(Pictures(5), folder, "1")
    (folder / "whole.json").unlink()
    again = Pictures(5)
    rows_of_data_set(again, folder, "1")
    assert again.asked == 6


@pytest.mark.parametrize(
    ("items", "says"),
    [
        (Pictures(0), "expected a data set with items"),
        (Pictures(5, odd=3), r"got float32 \(1, 2, 3\), int64 \(\) at 3"),
    ],
)
def test_items_that_are_no_rows_are_one_sentence(tmp_path: Path, items: Pictures, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        rows_of_data_set(items, tmp_path / "train", "1")


@pytest.mark.parametrize(
    ("item", "says"),
    [
        ({"image": np.ones(2), "label": 1}, r"such as \(image, label\), got dict at 0"),
        (torch.ones(2), "got Tensor at 0"),
        ((np.ones(2),), "got tuple at 0"),
        ((np.ones(2), None), "expected items of numbers, got .*object"),
        ((np.ones(2), "cat"), "expected items of numbers"),
    ],
)
def test_items_of_another_form_are_one_sentence(tmp_path: Path, item: object, says: str) -> None:
    items: Any = [item] * 3
    with pytest.raises(ConfigurationError, match=says):
        rows_of_data_set(items, tmp_path / "train", "1")
    assert not (tmp_path / "train" / "whole.json").exists()

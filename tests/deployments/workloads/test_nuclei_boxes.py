"""The nuclei's boxes: around each nucleus of a tile, without slivers, and turned as their tiles are."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from deployments.workload import read_splits
from deployments.workloads import nuclei, nuclei_boxes

EDGE = 512


@pytest.fixture
def squares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wheel of the same form with a nucleus of 20x10 pixels in each 64x64, and gray values without a pattern."""
    monkeypatch.setenv("NUCLEI", str(tmp_path))
    gray = np.arange(EDGE * EDGE, dtype=np.int64).reshape(EDGE, EDGE) * 7919 % 65536
    mask = np.zeros((EDGE, EDGE), dtype=np.int64)
    for number in range(64):
        down, across = number // 8 * 64 + 12, number % 8 * 64 + 4
        mask[down : down + 10, across : across + 20] = number + 1
    with zipfile.ZipFile(tmp_path / "stardist-0-py3-none-any.whl", "w") as package:
        for name, array in (("img", gray), ("mask", mask)):
            content = io.BytesIO()
            Image.fromarray(array.astype(np.uint16)).save(content, format="TIFF")
            package.writestr(nuclei.FILE.format(name=name), content.getvalue())


@pytest.mark.usefixtures("squares")
def test_each_tile_has_a_box_around_each_nucleus() -> None:
    splits = read_splits(nuclei_boxes.NucleiBoxes())
    assert {name: split.targets.shape for name, split in splits.items()} == {
        "train": (600, 16, 5), "calibration": (75, 16, 5), "validation": (16, 16, 5), "test": (24, 16, 5)
    }  # fmt: skip
    for row in splits["test"].targets:
        assert row[row[:, 4] >= 0].tolist() == [[4, 12, 24, 22, 0]]
    sides = {tuple(box[2:4] - box[:2]) for row in splits["train"].targets for box in row if box[4] >= 0}
    assert {(20, 10), (10, 20)} <= sides  # turned as the tiles are
    assert set(splits["test"].slices["crowding"]) == {"sparse"}


def test_a_nucleus_with_less_than_a_quarter_in_the_tile_has_no_box() -> None:
    tile = np.zeros((8, 8), dtype=np.int64)
    tile[0:2, 0:2], tile[4:6, 6:8] = 1, 2
    boxes = nuclei_boxes.boxes_around(tile, np.array([0, 17, 16]))
    assert boxes[0].tolist() == [6, 4, 8, 6, 0] and (boxes[1:] == -1).all()
    assert nuclei_boxes.boxes_around(np.zeros((8, 8), int), np.array([64])).shape == (nuclei_boxes.MOST, 5)


def test_recall_is_a_share_of_all_nuclei() -> None:
    assert nuclei_boxes.recall(pd.DataFrame({"found(nucleus)": [1, 2], "true(nucleus)": [1, 3]})) == 0.75

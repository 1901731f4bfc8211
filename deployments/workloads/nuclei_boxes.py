"""Boxes around the nuclei of cells, made of the masks of the workload `nuclei`; `make nuclei-boxes` runs it."""

import numpy as np
import pandas as pd

from deployments.workload import Split, SplitName, Workload
from deployments.workloads.nuclei import COLUMNS, STEP_OF_TRAINING, TILE, read_image, tiles, turned

MOST = 16
"""Boxes of a row, padding among them; the fullest tile has fewer."""
LEAST_SHARE = 0.25
"""Share of a nucleus that lies in a tile from which on it has a box there: less of it is hardly to be told."""
CROWDED = 2
"""Boxes of a tile from which on it is a crowded one: more would leave 6 test rows, with which no gate can decide."""


class NucleiBoxes(Workload):
    """The tiles of 64x64 pixels that the workload of masks has; the target is a box around each nucleus."""

    task = "detection"
    labels = ("nucleus",)
    pixels_per_cell = 8
    preprocessing = "gray values from 0 to 255, divided by 255"

    def __init__(self) -> None:
        self.image, self.nuclei = read_image()

    def split(self, name: SplitName) -> Split:
        """Return the tiles of a split."""
        step = TILE if name in ("validation", "test") else STEP_OF_TRAINING
        start, end = COLUMNS["train" if name == "calibration" else name]
        images, nuclei = (tiles(array[:, start:end], step) for array in (self.image, self.nuclei))
        if name == "train":
            images, nuclei = turned(images), turned(nuclei)
        pixels = np.bincount(self.nuclei.ravel())
        targets = np.stack([boxes_around(tile, pixels) for tile in nuclei])
        crowding = np.where((targets[..., 4] >= 0).sum(axis=1) >= CROWDED, "crowded", "sparse")
        return Split((images[:, None],), targets, pd.DataFrame({"crowding": crowding}))


def boxes_around(tile: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Return the padded boxes (16, 5) of a tile (height, width) of numbers of nuclei, of which each has so many pixels.

    A nucleus that lies in the tile with less than a quarter of its pixels has none. Raises ValueError for more than 16.
    """
    boxes = np.full((MOST, 5), -1, dtype=np.float32)
    found = []
    for number in np.unique(tile[tile > 0]):
        down, across = np.nonzero(tile == number)
        if len(down) >= LEAST_SHARE * pixels[number]:
            found.append((across.min(), down.min(), across.max() + 1, down.max() + 1, 0))
    boxes[: len(found)] = np.reshape(found, (-1, 5))
    return boxes


def recall(rows: pd.DataFrame) -> float:
    """Return the share of the nuclei that are found, for gates."""
    return float(rows["found(nucleus)"].sum() / rows["true(nucleus)"].sum())

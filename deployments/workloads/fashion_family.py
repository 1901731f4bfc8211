"""Four tasks on the same images of Fashion-MNIST: what it is, how it lies, how sharp it is and how it is lit.

Each image is turned by quarters, then left as it is, blurred or made noisy, then left light on dark or inverted. The
three are drawn by themselves for each image, so that no task tells anything about another one.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter
from torch import Tensor

from deployments.workload import Split, SplitName, Workload
from deployments.workloads.fashion_mnist import CLASSES, VALIDATION_FROM, read_rows

ORIENTATIONS = ("upright", "left", "upside-down", "right")
SHARPNESS = ("sharp", "blurred", "noisy")
POLARITY = ("light on dark", "dark on light")
BLUR = 1.0  # pixels: the standard deviation of the Gaussian
NOISE = 0.2  # of the whole range of gray: the standard deviation of each pixel
TRAIN_ROWS, CALIBRATION_ROWS, VALIDATION_ROWS, TEST_ROWS = 20_000, 512, 2_000, 5_000
_SEEDS: dict[SplitName, int] = {"train": 1, "validation": 2, "test": 3}


class Changed(NamedTuple):
    """Images (rows, 1, 28, 28) in [0, 1], and for each of them the numbers of its four labels."""

    images: np.ndarray
    garment: np.ndarray
    orientation: np.ndarray
    sharpness: np.ndarray
    polarity: np.ndarray


class ChangedGarments(Workload):
    """Images of clothes that were turned, blurred or made noisy, and inverted; all four labels are slice columns."""

    preprocessing = "gray values from 0 to 255, divided by 255"
    label = ""
    """The label that the task asks for, by its name in Changed."""

    def split(self, name: SplitName) -> Split:
        """Return the rows of a split; those for calibration are the first ones for training."""
        rows = changed("train" if name == "calibration" else name)
        first = slice(CALIBRATION_ROWS if name == "calibration" else None)
        slices = {
            label: np.array(words)[getattr(rows, label)[first]]
            for label, words in (
                ("garment", CLASSES), ("orientation", ORIENTATIONS), ("sharpness", SHARPNESS), ("polarity", POLARITY)
            )
        }  # fmt: skip
        return Split((rows.images[first],), getattr(rows, self.label)[first], pd.DataFrame(slices))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the cross entropy."""
        return F.cross_entropy(outputs, targets)


class Garment(ChangedGarments):
    """Tells what an image shows, however it lies and is lit."""

    label, labels = "garment", CLASSES


class Orientation(ChangedGarments):
    """Tells which way up an image is."""

    label, labels = "orientation", ORIENTATIONS


class Sharpness(ChangedGarments):
    """Tells whether an image is sharp, blurred or noisy."""

    label, labels = "sharpness", SHARPNESS


class Polarity(ChangedGarments):
    """Tells whether an image is light on dark or dark on light."""

    label, labels = "polarity", POLARITY


@cache
def changed(name: SplitName) -> Changed:
    """Return the changed images of a split with their labels, the same array at every call."""
    images, garment = _plain(name)
    generator, count = np.random.default_rng(_SEEDS[name]), len(images)
    orientation, sharpness, polarity = (
        generator.integers(0, len(words), count) for words in (ORIENTATIONS, SHARPNESS, POLARITY)
    )
    made = _applied(images, orientation, sharpness, polarity, generator)
    return Changed(made, garment, orientation, sharpness, polarity)


def _plain(name: SplitName) -> tuple[np.ndarray, np.ndarray]:
    if name == "test":
        return read_rows("t10k", slice(TEST_ROWS))
    first = VALIDATION_FROM if name == "validation" else 0
    return read_rows("train", slice(first, first + (VALIDATION_ROWS if name == "validation" else TRAIN_ROWS)))


def _applied(
    images: np.ndarray, orientation: np.ndarray, sharpness: np.ndarray, polarity: np.ndarray,
    generator: np.random.Generator,
) -> np.ndarray:  # fmt: skip
    made = np.stack([np.rot90(image[0], turns)[None] for image, turns in zip(images, orientation, strict=True)])
    blurred, noisy = sharpness == SHARPNESS.index("blurred"), sharpness == SHARPNESS.index("noisy")
    made[blurred] = gaussian_filter(made[blurred], (0, 0, BLUR, BLUR))
    made[noisy] = (made[noisy] + generator.normal(0, NOISE, made[noisy].shape)).clip(0, 1)
    inverted = polarity == POLARITY.index("dark on light")
    made[inverted] = 1 - made[inverted]
    return np.ascontiguousarray(made, dtype=np.float32)

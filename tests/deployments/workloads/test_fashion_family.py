"""The family on Fashion-MNIST: changed images with labels that tell nothing about each other."""

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2_contingency

from deployments.recipe import read_recipe
from deployments.workload import check_leaks, read_splits
from deployments.workloads import fashion_family
from deployments.workloads.fashion_family import POLARITY, Changed, Garment, Orientation, changed
from deployments.workloads.fashion_mnist import FOLDER, read_rows

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
LABELS = ("garment", "orientation", "sharpness", "polarity")
ROWS = 1_200


@pytest.fixture(autouse=True)
def few_rows(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, rows in (("TRAIN", ROWS), ("CALIBRATION", 100), ("VALIDATION", 400), ("TEST", 400)):
        monkeypatch.setattr(fashion_family, f"{name}_ROWS", rows)
    changed.cache_clear()
    yield
    changed.cache_clear()


def test_the_labels_are_drawn_by_themselves() -> None:
    """Cramer's V of each two labels is what chance makes it; dependent labels would have a V of up to 1."""
    rows = changed("train")
    for one, other in combinations(LABELS, 2):
        table = pd.crosstab(getattr(rows, one), getattr(rows, other)).to_numpy()
        test = chi2_contingency(table)
        assert test.pvalue > 0.001, (one, other)
        assert np.sqrt(test.statistic / ROWS / (min(table.shape) - 1)) < 0.15, (one, other)


def test_the_labels_follow_from_no_image() -> None:
    """The draws are the same for other images in the same places, which is independence by construction."""
    rows = changed("train")
    generator = np.random.default_rng(1)
    for label, count in (("orientation", 4), ("sharpness", 3), ("polarity", 2)):
        assert getattr(rows, label).tolist() == generator.integers(0, count, ROWS).tolist()


def test_an_image_is_changed_as_its_labels_say() -> None:
    rows, (plain, garments) = changed("train"), read_rows("train", slice(ROWS))
    assert rows.garment.tolist() == garments.tolist()
    turned = np.stack([np.rot90(image[0], turns) for image, turns in zip(plain, rows.orientation, strict=True)])
    lit = np.where((rows.polarity == 1)[:, None, None], 1 - rows.images[:, 0], rows.images[:, 0])
    sharp, blurred, noisy = (rows.sharpness == number for number in range(3))
    np.testing.assert_allclose(lit[sharp], turned[sharp], atol=1e-6)
    assert _roughness(lit[blurred]) < 0.6 * _roughness(turned[blurred])
    assert _roughness(lit[noisy]) > 1.5 * _roughness(turned[noisy])
    assert rows.images.min() >= 0 and rows.images.max() <= 1 and rows.images.dtype == np.float32


def test_the_members_share_their_rows() -> None:
    first, second = Garment().split("train"), Orientation().split("train")
    assert np.shares_memory(first.inputs[0], second.inputs[0])
    assert first.slices.equals(second.slices) and first.targets.tolist() != second.targets.tolist()
    assert list(first.slices.columns) == list(LABELS) and set(first.slices["polarity"]) == set(POLARITY)
    assert isinstance(changed("train"), Changed)


def test_the_shipped_family_has_rows_for_all_its_gates() -> None:
    recipe = read_recipe(Path("fashion-family"))
    workload = recipe.load_workload()
    splits = read_splits(workload)
    check_leaks(workload, splits)
    assert {name: len(split) for name, split in splits.items()} == {
        "train": ROWS, "calibration": 100, "validation": 1_600, "test": 1_600,
    }  # fmt: skip
    assert np.shares_memory(splits["train"].inputs[0], changed("train").images)  # four tasks, one copy
    assert [member.name for member in recipe.members] == list(LABELS)
    assert list(map(str, recipe.critical_slices)) == [
        "task = garment and garment = Shirt",
        "task = orientation and orientation = upside-down",
        "task = sharpness and target = blurred",
    ]
    assert not [gate for gate in recipe.policy(recipe.devices[0]).gates if gate.kind == "floors"]


def _roughness(images: np.ndarray) -> float:
    return float(np.abs(np.diff(images, axis=-1)).mean())

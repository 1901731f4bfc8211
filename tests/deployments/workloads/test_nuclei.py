"""The nuclei's tiles: each pixel in one split, all eight positions in training, and a sentence without the package."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deployments.errors import ConfigurationError
from deployments.workload import read_splits
from deployments.workloads import nuclei

EDGE = 512


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel of the same form whose gray values differ from pixel to pixel, with stripes for nuclei."""
    monkeypatch.setenv("NUCLEI", str(tmp_path))
    gray = np.arange(EDGE * EDGE, dtype=np.int64).reshape(EDGE, EDGE) * 7919 % 65536
    mask = np.where(np.arange(EDGE) % 64 < 16, 5, 0) * np.ones((EDGE, 1), dtype=np.int64)
    with zipfile.ZipFile(tmp_path / "stardist-0-py3-none-any.whl", "w") as package:
        for name, array in (("img", gray), ("mask", mask)):
            content = io.BytesIO()
            Image.fromarray(array.astype(np.uint16)).save(content, format="TIFF")
            package.writestr(nuclei.FILE.format(name=name), content.getvalue())
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_the_splits_are_parts_of_the_image_for_themselves() -> None:
    splits = read_splits(nuclei.Nuclei())
    assert {name: split.inputs[0].shape for name, split in splits.items()} == {
        "train": (600, 1, 64, 64), "calibration": (75, 1, 64, 64), "validation": (16, 1, 64, 64),
        "test": (24, 1, 64, 64),
    }  # fmt: skip
    workload = nuclei.Nuclei()
    place = {value: column for column in range(EDGE) for value in workload.image[:, column].tolist()[:4]}
    columns = {
        name: {place[value] for value in splits[name].inputs[0].ravel().tolist() if value in place}
        for name in ("train", "validation", "test")
    }
    assert columns["train"] <= set(range(192)) and columns["test"] <= set(range(320, 512))
    assert columns["validation"] <= set(range(192, 320)) and all(columns.values())
    assert splits["validation"].targets.sum() + splits["test"].targets.sum() == 320 * EDGE / 4


def test_training_rows_are_turned_and_mirrored() -> None:
    rows = np.arange(9).reshape(1, 3, 3)
    turned = nuclei.turned(rows)
    assert len({each.tobytes() for each in turned}) == 8 and all(set(each.ravel()) == set(range(9)) for each in turned)


def test_a_missing_package_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUCLEI", str(tmp_path))
    with pytest.raises(ConfigurationError, match=r"expected stardist-\*.whl .* run make nuclei"):
        nuclei.Nuclei()
    (tmp_path / "stardist-0-py3-none-any.whl").write_bytes(b"half")
    with pytest.raises(ConfigurationError, match="to be a whole wheel with its images"):
        nuclei.Nuclei()

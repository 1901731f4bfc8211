"""Folders of arrays as teams keep them, and those that say nothing."""

from pathlib import Path

import numpy as np
import pytest

from deployments.errors import ConfigurationError
from flows.first_files.array_folder import THE_ARRAY, find_arrays

Files = dict[str, dict[str, np.ndarray] | np.ndarray]
IMAGES, LABELS = np.zeros((4, 8, 8), np.uint8), np.arange(4)


def saved(folder: Path, **files: dict[str, np.ndarray] | np.ndarray) -> Path:
    for name, content in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, dict):
            np.savez(path.with_suffix(".npz"), **content)  # type: ignore[arg-type]
        else:
            np.save(path.with_suffix(".npy"), content)
    return folder


BOTH: dict[str, np.ndarray] = {"images": IMAGES, "labels": LABELS}


@pytest.mark.parametrize(
    "files",
    [
        {"train": BOTH, "val": BOTH, "test": BOTH},
        {"train_images": IMAGES, "train_labels": LABELS, "valid_images": IMAGES, "valid_labels": LABELS,
         "test_images": IMAGES, "test_labels": LABELS},
        {"train__images": IMAGES, "train__labels": LABELS, "validation__images": IMAGES, "validation__labels": LABELS,
         "test__images": IMAGES, "test__labels": LABELS},
        {"all": {f"{name}_{split}": array for name, array in BOTH.items() for split in ("train", "dev", "test")}},
    ],
)  # fmt: skip
def test_names_say_the_split_and_the_array(tmp_path: Path, files: Files) -> None:
    found = find_arrays(saved(tmp_path, **files))
    assert set(found) == {"train", "validation", "test"}
    assert all(set(arrays) == {"images", "labels"} for arrays in found.values())
    assert np.array_equal(found["test"]["labels"].read(tmp_path), LABELS)
    assert found["test"]["images"].shape == IMAGES.shape and found["test"]["images"].dtype == np.uint8


def test_files_without_a_split_are_for_training(tmp_path: Path) -> None:
    found = find_arrays(saved(tmp_path, data=BOTH))
    assert set(found) == {"train"} and set(found["train"]) == {"images", "labels"}


def test_a_file_that_only_names_its_split_is_an_array_of_rows(tmp_path: Path) -> None:
    assert set(find_arrays(saved(tmp_path, train=IMAGES))["train"]) == {THE_ARRAY}


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "expected arrays of a train split, got none"),
        ({"test": BOTH}, "got those of test alone"),
        ({"train": BOTH, "test": {"images": IMAGES}}, "got images, labels in train and images in test"),
        ({"train__images": IMAGES, "train": BOTH}, "expected one array images in the split train"),
        ({"train": {"images": np.array([{}], dtype=object)}}, "expected plain arrays, got"),
    ],
)
def test_what_cannot_be_told_is_one_sentence(tmp_path: Path, files: Files, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        find_arrays(saved(tmp_path, **files))


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="expected a folder of arrays, got none"):
        find_arrays(tmp_path / "nowhere")


def test_a_file_that_is_no_archive_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "train.npz").write_bytes(b"no archive")
    with pytest.raises(ConfigurationError, match=r"train\.npz: expected plain arrays, got BadZipFile"):
        find_arrays(tmp_path)

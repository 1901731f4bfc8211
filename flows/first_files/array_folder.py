"""A folder of arrays, as teams keep them: .npz and .npy files whose names say the split and what is in them."""

import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deployments.errors import ConfigurationError, one_line
from deployments.rows import SplitName

SPLIT_WORDS: Mapping[str, SplitName] = {
    "train": "train",
    "training": "train",
    "calib": "calibration",
    "calibration": "calibration",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
THE_ARRAY = "rows"
"""The name of an array whose file says nothing but its split."""
_FORMS = "train.npz with arrays such as images and labels, or train_images.npy and train_labels.npy"


@dataclass(frozen=True)
class FoundArray:
    """One array of a split: its file in the folder, its key where that is an archive, its shape and its dtype."""

    file: str
    key: str | None
    shape: tuple[int, ...]
    dtype: np.dtype

    def read(self, folder: Path) -> np.ndarray:
        """Return the array; of an .npy file it stays on disk until it is used."""
        if self.key is None:
            content: np.ndarray = np.load(folder / self.file, mmap_mode="r", allow_pickle=False)
            return content
        with np.load(folder / self.file, allow_pickle=False) as archive:
            found: np.ndarray = archive[self.key]
            return found


Found = Mapping[SplitName, Mapping[str, FoundArray]]


def find_arrays(folder: Path) -> Found:
    """Return the arrays of each split by their names; files that name no split are the train split's.

    Raises ConfigurationError for a folder without arrays, for a file that cannot be read, and for splits of which one
    lacks an array that another one has.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"{folder}: expected a folder of arrays, got none; give its path, with {_FORMS}")
    found: dict[SplitName, dict[str, FoundArray]] = {}
    for path in sorted(path for path in folder.rglob("*") if path.suffix in (".npz", ".npy")):
        place = path.relative_to(folder)
        for split, name, array in _arrays_of(path, place):
            beside = found.setdefault(split, {})
            if name in beside:
                raise ConfigurationError(
                    f"{folder}: expected one array {name} in the split {split}, got one in {beside[name].file} and one "
                    f"in {place}; move what is not needed out of the folder"
                )
            beside[name] = array
    _check(folder, found)
    return found


def _check(folder: Path, found: Found) -> None:
    if "train" not in found:
        got = f"those of {', '.join(found)} alone" if found else "none"
        raise ConfigurationError(f"{folder}: expected arrays of a train split, got {got}; name files like {_FORMS}")
    for split, arrays in found.items():
        if arrays.keys() != found["train"].keys():
            raise ConfigurationError(
                f"{folder}: expected the same arrays in each split, got {', '.join(sorted(found['train']))} in train "
                f"and {', '.join(sorted(arrays))} in {split}; give each split its files"
            )


def _arrays_of(path: Path, place: Path) -> Iterator[tuple[SplitName, str, FoundArray]]:
    words = _words(str(place.with_suffix("")))
    try:
        if path.suffix == ".npy":
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            yield (*_split_and_name(place, words), FoundArray(str(place), None, array.shape, array.dtype))
            return
        for key, shape, dtype in _headers(path):
            inside = _words(key)
            split = next((word for word in (*words, *inside) if word in SPLIT_WORDS), "train")
            name = "_".join(word for word in inside if word not in SPLIT_WORDS) or THE_ARRAY
            yield SPLIT_WORDS[split], name, FoundArray(str(place), key, shape, dtype)
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise ConfigurationError(
            f"{path}: expected plain arrays, got {one_line(error)}; save them with numpy.savez or numpy.save, without "
            "Python objects in them"
        ) from error


def _headers(path: Path) -> Iterator[tuple[str, tuple[int, ...], np.dtype]]:
    """Yield key, shape and dtype of an archive's arrays without reading them."""
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            with archive.open(member) as file:
                version = np.lib.format.read_magic(file)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, dtype = read(file)
                if dtype.hasobject:
                    raise ValueError(f"Python objects in {member}")
                yield member.removesuffix(".npy"), shape, dtype


def _split_and_name(place: Path, words: list[str]) -> tuple[SplitName, str]:
    splits = [word for word in words if word in SPLIT_WORDS]
    stem = [word for word in _words(place.stem) if word not in SPLIT_WORDS]
    return SPLIT_WORDS[splits[0] if splits else "train"], "_".join(stem) or THE_ARRAY


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[^a-z0-9]+", text.lower()) if word]

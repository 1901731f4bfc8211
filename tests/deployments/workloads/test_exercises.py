"""The exercises' windows: split by persons, of whole recordings, read without running what a pickle names."""

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deployments.errors import ConfigurationError
from deployments.workload import check_leaks, read_splits
from deployments.workloads import exercises

WHEEL = "seglearn-1-py3-none-any.whl"
SAMPLES = exercises.AVERAGED * (exercises.STEPS + exercises.STRIDE) + 1  # two windows, and a part of a step
EXERCISES, PERSONS = len(exercises.CLASSES), 10


class Trap:
    """An object that a plain unpickler would run."""

    ran = False

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return setattr, (Trap, "ran", True)


def recordings() -> dict[str, Any]:
    """One recording of each person and exercise, of noise around the number of the exercise."""
    generator = np.random.default_rng(0)
    exercise, subject = np.repeat(np.arange(EXERCISES), PERSONS), np.tile(np.arange(1, PERSONS + 1), EXERCISES)
    moved = [number + generator.normal(size=(SAMPLES, len(exercises.SENSORS))) for number in exercise]
    return {"X": moved, "y": exercise, "subject": subject, "side": subject % 2.0, "y_labels": list(exercises.CLASSES)}


def _lengths(workload: exercises.Exercises, windows: torch.Tensor) -> torch.Tensor:
    """Lengths of acceleration and rotation in each step of each window, in the sensors' own units."""
    signals = windows * torch.from_numpy(workload.spread) + torch.from_numpy(workload.center)
    return signals.unflatten(2, (2, 3)).norm(dim=3)


def write(folder: Path, content: object) -> None:
    file = io.BytesIO()
    np.save(file, np.array(content, dtype=object), allow_pickle=True)
    with zipfile.ZipFile(folder / WHEEL, "w") as archive:
        archive.writestr(exercises.FILE, file.getvalue())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EXERCISES", str(tmp_path))
    write(tmp_path, recordings())
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_every_person_is_in_one_split() -> None:
    workload = exercises.Exercises()
    splits = read_splits(workload)  # which also looks for recordings in two splits
    assert not [each for each in check_leaks(workload, splits) if each.is_leak]
    persons = {name: set(split.slices["subject"]) for name, split in splits.items()}
    assert persons == {
        "train": {1, 2, 3, 4, 5},
        "calibration": {1, 2, 3, 4, 5},
        "validation": {6, 7},
        "test": {8, 9, 10},
    }
    assert set(splits["calibration"].slices["exercise"]) == set(exercises.CLASSES)


@pytest.mark.usefixtures("folder")
def test_windows_are_averaged_samples_in_their_order() -> None:
    workload = exercises.Exercises()
    test, samples = workload.split("test"), recordings()["X"][7]  # of person 8
    first, second = test.inputs[0][:2] * workload.spread + workload.center
    assert test.inputs[0].dtype == np.float32 and test.inputs[0].shape[1:] == (40, 6)
    np.testing.assert_allclose(first[0], samples[:5].mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(second[0], samples[50:55].mean(axis=0), atol=1e-5)
    assert list(test.slices["recording"][:3]) == [7, 7, 8] and list(test.slices["side"][:3]) == [
        "left",
        "left",
        "right",
    ]


@pytest.mark.usefixtures("folder")
def test_training_windows_are_spread_around_0() -> None:
    values = exercises.Exercises().split("train").inputs[0]
    assert values.mean(axis=(0, 1)) == pytest.approx(0, abs=1e-4) and values.std(axis=(0, 1)) == pytest.approx(
        1, abs=1e-3
    )


@pytest.mark.usefixtures("folder")
def test_a_turned_watch_feels_as_much_in_other_directions() -> None:
    workload = exercises.Exercises()
    train = torch.from_numpy(workload.split("train").inputs[0])
    (turned,) = workload.augment((train,), torch.Generator().manual_seed(0))
    (again,) = workload.augment((train,), torch.Generator().manual_seed(0))
    torch.testing.assert_close(turned, again)
    lengths = [_lengths(workload, windows) for windows in (train, turned)]
    gains = lengths[1] / lengths[0]
    torch.testing.assert_close(gains, gains[:, :1, :1].expand_as(gains))  # one gain for all signals of a window
    assert gains.std() > exercises.GAIN / 2 and (turned - train).abs().mean() > 0.1


@pytest.mark.usefixtures("folder")
def test_the_report_shows_a_window_in_the_units_of_the_sensors() -> None:
    workload = exercises.Exercises()
    test = workload.split("test")
    shown = workload.text(test, len(test) - 1).split(", ")  # the last exercise, whose samples are around 6
    assert [each.split()[0] for each in shown] == list(exercises.SENSORS)
    assert all(5.5 < float(each.split()[1]) < 6.5 for each in shown)


def test_a_pickle_is_not_run(folder: Path) -> None:
    write(folder, {"X": Trap()})
    with pytest.raises(ConfigurationError, match=r"it names builtins\.setattr, which is no array; delete it"):
        exercises.Exercises()
    assert not Trap.ran
    assert pickle.loads(pickle.dumps(Trap())) is None and Trap.ran  # a plain unpickler does run it


@pytest.mark.parametrize("content", [{"X": []}, 3], ids=["columns are missing", "no recordings"])
def test_another_file_of_that_name(folder: Path, content: object) -> None:
    write(folder, content)
    with pytest.raises(ConfigurationError, match=r"Exercises: expected recordings in .* run make exercises"):
        exercises.Exercises()


def test_data_that_is_not_there(folder: Path) -> None:
    (folder / WHEEL).unlink()
    with pytest.raises(ConfigurationError, match=r"got no such file; run make exercises, which downloads it"):
        exercises.Exercises()


def test_a_download_that_broke_off(folder: Path) -> None:
    (folder / WHEEL).write_bytes((folder / WHEEL).read_bytes()[:50])
    with pytest.raises(ConfigurationError, match=r"to be a whole wheel, .* delete it and run make exercises"):
        exercises.Exercises()


def test_the_recordings_themselves() -> None:
    try:
        exercises.WHEELS.path(exercises.WHEEL)
    except ConfigurationError as error:
        pytest.skip(str(error))
    workload = exercises.Exercises()
    splits = read_splits(workload)
    assert not [each for each in check_leaks(workload, splits) if each.is_leak]
    assert sum(len(splits[name]) for name in ("train", "validation", "test")) == 4397
    assert splits["test"].slices["recording"].nunique() == 42

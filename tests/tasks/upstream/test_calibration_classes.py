"""A class that calibration never sees is named before anything is computed, and stops nothing."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deployments.errors import ConfigurationError
from deployments.workload import Split, read_splits
from tasks.upstream import check_recipe
from tasks.upstream.job_checks import SHOWN, _warn_of_missing_classes
from tests.tasks.tiny import RECIPE, Blobs


def with_targets(split: Split, targets: Sequence[float], kind: type[np.generic] = np.int64) -> Split:
    return replace(split, targets=np.resize(np.array(targets, dtype=kind), len(split)))


def warn(workload: Blobs, train: Sequence[float], calibration: Sequence[float], kind: type = np.int64) -> None:
    splits = read_splits(workload)
    changed = {
        "train": with_targets(splits["train"], train, kind),
        "calibration": with_targets(splits["calibration"], calibration, kind),
    }
    _warn_of_missing_classes(workload, {**splits, **changed})  # type: ignore[dict-item]


def test_a_class_that_is_not_there_is_named(warned: list[str]) -> None:
    warn(Blobs(), [0, 1, 2], [0, 2])
    (message,) = warned
    assert message.startswith("split `calibration`: expected rows of every class of the train split, got none of 1, so")
    assert message.endswith("add such rows in Workload.split")


def test_of_many_only_some_are_named(warned: list[str]) -> None:
    warn(Blobs(), range(SHOWN + 4), [0])
    assert "got none of 1, 2, 3, 4, 5 and 3 more, so" in warned[0]


@pytest.mark.parametrize("calibration", [[0, 1, 2], [0, 1, 2, 3]])
def test_calibration_that_sees_every_class_says_nothing(warned: list[str], calibration: list[int]) -> None:
    warn(Blobs(), [0, 1, 2], calibration)
    assert warned == []


def test_measured_values_are_no_classes(warned: list[str]) -> None:
    warn(Blobs(), [0.5, 1.5], [2.5], np.float32)
    assert warned == []


def test_the_workloads_own_words_are_what_is_named(warned: list[str]) -> None:
    class Named(Blobs):
        def right_answers(self, targets: np.ndarray) -> np.ndarray:
            return np.array(["sound", "worn", "broken"])[targets]

    warn(Named(), [0, 1, 2], [0])
    assert "got none of broken, worn, so" in warned[0]


def test_right_answers_that_cannot_be_told_are_one_sentence() -> None:
    class Broken(Blobs):
        def right_answers(self, _: np.ndarray) -> np.ndarray:
            raise KeyError("label")

    with pytest.raises(ConfigurationError, match=r"targets of shape \(48,\), got KeyError: 'label'; correct Workload"):
        warn(Broken(), [0, 1, 2], [0])


def test_preflight_says_it(warned: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Blobs.split

    def split(self: Blobs, name: str) -> Split:
        rows = whole(self, name)  # type: ignore[arg-type]
        return with_targets(rows, [0]) if name == "calibration" else rows

    monkeypatch.setattr(Blobs, "split", split)
    check_recipe(Path(RECIPE))
    assert len(warned) == 1 and "got none of 1, 2, so" in warned[0]

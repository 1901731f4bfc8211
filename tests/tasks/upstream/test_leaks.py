"""Preflight refuses splits that share rows or groups, and warns of rows that nearly are the same."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deployments.errors import ConfigurationError
from deployments.rows import Split, SplitName
from tasks.reporting.gate_report import _shared
from tasks.upstream import check_recipe
from tasks.workspace import Workspace
from tests.tasks.tiny import RECIPE, Blobs, job

Change = Callable[[SplitName, Split], Split]


@pytest.fixture
def changed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Change], None]:
    """Let the recipe's workload return changed splits."""
    whole = Blobs.split

    def change(how: Change) -> None:
        monkeypatch.setattr(Blobs, "split", lambda self, name: how(name, whole(self, name)))

    return change


TRAIN = Blobs().split("train").inputs[0]


def planted(name: SplitName, split: Split) -> Split:
    if name == "test":
        split.inputs[0][4] = TRAIN[2]
    return split


def refused() -> str:
    with pytest.raises(ConfigurationError) as caught:
        check_recipe(Path(RECIPE))
    return str(caught.value)


def test_a_test_row_among_the_training_rows_is_refused(changed: Callable[[Change], None]) -> None:
    changed(planted)
    message = refused()
    assert message.startswith(f"{RECIPE}: workload `tests.tasks.tiny:Blobs`: expected no row in two splits")
    assert "got 1 of 30 test rows in train (test row 4 is train row 2); drop them" in message


def test_four_identical_splits_are_refused(changed: Callable[[Change], None]) -> None:
    whole = Blobs().split("train")
    changed(lambda _name, _split: whole)
    message = refused()
    assert "expected splits of different rows, got 48 of 48 validation rows in train" in message
    assert "; and so in 2 further pairs of splits; divide the rows in Workload.split, no reason" in message


def test_a_reason_is_a_warning_and_stands_in_the_report(
    changed: Callable[[Change], None], monkeypatch: pytest.MonkeyPatch, warned: list[str], tmp_path: Path
) -> None:
    changed(planted)
    monkeypatch.setattr(Blobs, "shared_rows", "a sensor has few values")
    check_recipe(Path(RECIPE))
    found = "1 of 30 test rows in train (test row 4 is train row 2)"
    assert f"expected no row in two splits, got {found}; the workload says why: a sensor has few values" in warned
    shown = _shared(job(Workspace.at(tmp_path, "sqlite:///unused")))
    assert shown == {"shared rows": f"{found}: a sensor has few values"}


def test_a_group_in_two_splits_is_refused(changed: Callable[[Change], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Blobs, "group", "part")
    offsets = {"train": 0, "calibration": 0, "validation": 20, "test": 40}

    def parts(name: SplitName, split: Split) -> Split:
        return replace(split, slices=split.slices.assign(part=offsets[name] + np.arange(len(split)) // 3))

    changed(parts)
    check_recipe(Path(RECIPE))
    offsets["test"] = 15
    message = refused()
    assert "expected every part, which is the workload's `group`, in one split alone, got " in message
    assert "1 in train and test, with 3 of 30 test rows " in message
    assert "(15: train row 45, test row 0)" in message


def test_pictures_that_are_nearly_the_same_are_a_warning(changed: Callable[[Change], None], warned: list[str]) -> None:
    random = np.random.default_rng(0)
    pictures = {name: random.random((len(Blobs().split(name)), 1, 8, 8)) for name in ("train", "validation", "test")}
    pictures["calibration"] = pictures["train"][:16]
    pictures["test"][7] = 1.1 * pictures["train"][20]
    changed(lambda name, split: replace(split, inputs=(pictures[name],)))
    check_recipe(Path(RECIPE))
    (message,) = warned
    assert "1 of 30 test rows nearly are rows of train by a perceptual hash of the pictures" in message
    assert "(test row 7 and train row 20)" in message

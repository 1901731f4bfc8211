"""The Shuttle workload's rows: split without overlap, rare states kept, and a sentence where the data is not there."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from deployments.errors import ConfigurationError
from deployments.workload import check_leaks, read_splits
from deployments.workloads import shuttle

ROWS = 2000


@pytest.fixture
def telemetry(monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """A file of the same form: one sensor with a wild outlier, classes from frequent to rare."""
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(generator.normal(size=(ROWS, 9)), columns=list(shuttle.SENSORS))
    frame.loc[0, "V2"] = 1e6
    frame["Class"] = np.array(shuttle.CLASSES)[np.minimum(generator.geometric(0.5, ROWS) - 1, 6)]
    monkeypatch.setitem(sys.modules, "rdata", SimpleNamespace(read_rda=lambda _: {"Shuttle": frame}))
    return frame


@pytest.mark.usefixtures("telemetry")
def test_splits_share_no_row_but_calibration_is_of_training() -> None:
    workload = shuttle.Shuttle()
    rows = {name: set(indices) for name, indices in workload.rows.items()}
    assert rows["calibration"] <= rows["train"]
    assert not rows["train"] & (rows["validation"] | rows["test"]) and not rows["validation"] & rows["test"]
    assert len(rows["train"] | rows["validation"] | rows["test"]) == ROWS


def test_moments_with_the_values_of_a_test_row_are_in_the_test_alone(telemetry: pd.DataFrame) -> None:
    sensors = list(shuttle.SENSORS)
    for copy, original in ((5, 3), (6, 7), (12, 13)):  # train of test, train of validation, validation of test
        telemetry.loc[copy, sensors] = telemetry.loc[original, sensors].to_numpy()
    workload = shuttle.Shuttle()
    rows = {name: set(indices) for name, indices in workload.rows.items()}
    assert {3, 13} <= rows["test"] and 7 in rows["validation"]
    assert not {5, 6} & (rows["train"] | rows["calibration"]) and 12 not in rows["validation"]
    assert [each.judging for each in check_leaks(workload, read_splits(workload))] == ["calibration"]


def test_rows_are_usable_and_sliced_by_state(telemetry: pd.DataFrame) -> None:
    splits = read_splits(shuttle.Shuttle())
    assert abs(splits["train"].inputs[0]).max() <= 4
    assert set(splits["test"].slices["state"]) == set(telemetry["Class"])
    first = splits["test"].slices["state"].iloc[0]
    assert first == telemetry["Class"].iloc[3]


@pytest.mark.usefixtures("telemetry")
def test_a_rare_state_weighs_more() -> None:
    workload = shuttle.Shuttle()
    says_frequent, says_rare = torch.zeros(2, 7), torch.zeros(2, 7)
    says_frequent[:, 0] = says_rare[:, 5] = 5
    labels = torch.tensor([0, 5])
    assert workload.loss(says_frequent, labels) > 3 * workload.loss(says_rare, labels)


def test_data_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SHUTTLE", str(tmp_path / "none.rda"))
    with pytest.raises(ConfigurationError, match=r"none\.rda and the package rdata .* r-cran-mlbench"):
        shuttle.Shuttle()

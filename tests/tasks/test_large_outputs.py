"""Outputs that do not fit the memory, such as masks of many rows: answered, written and scored part by part."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from deployments.answers import segmentation
from deployments.mapped import part_outputs
from deployments.workload import Split, SplitName, Workload
from tasks.compression.float_models import OUTPUTS, keep_float_model
from tasks.job import Job
from tasks.measurement import answer_rows
from tasks.workspace import Workspace
from tests.tasks.tiny import job

SIDE, ROWS = 96, 160
BYTES_OF_ROW = SIDE * SIDE * 4
ALL = ROWS * BYTES_OF_ROW


class Masks(Workload):
    """The left half of an image, and its mask."""

    task = "segmentation"

    def split(self, name: SplitName) -> Split:
        rows = ROWS if name == "validation" else 8
        images = np.random.default_rng(len(name)).normal(size=(rows, 1, SIDE, SIDE)).astype(np.float32)
        return Split((images,), (images[:, 0] > 0).astype(np.uint8), pd.DataFrame({"half": np.arange(rows) % 2}))


@pytest.fixture
def masks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A job on masks, in a process that has room for seven of them."""
    monkeypatch.setattr(part_outputs, "MOST_BYTES", 7 * BYTES_OF_ROW)
    monkeypatch.setattr(segmentation, "_AT_ONCE", 2 * BYTES_OF_ROW)
    return job(Workspace.at(tmp_path, "sqlite:///unused"), workload=Masks())


@pytest.fixture
def outputs(tmp_path: Path, masks: Job) -> np.ndarray:
    """A map of the outputs of a model that is right in half of the rows."""
    path = tmp_path / "outputs.npy"
    images = masks.splits["validation"].inputs[0].copy()
    images[1::2] = abs(images[1::2])
    np.save(path, images)
    mapped: np.ndarray = np.load(path, mmap_mode="r")
    return mapped


def peak_of(work: Callable[[], object]) -> int:
    """Return the most bytes that Python and numpy held at a time for some work."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_copy_of_all_outputs_would_be_seen(outputs: np.ndarray) -> None:
    assert peak_of(lambda: outputs + 1) >= ALL


def test_the_rows_of_a_frame_are_scored_without_holding_all_outputs(masks: Job, outputs: np.ndarray) -> None:
    assert peak_of(lambda: answer_rows(masks, "validation", outputs)) < ALL / 3
    rows = answer_rows(masks, "validation", outputs)
    assert rows["score"][::2].eq(1).all() and rows["score"][1::2].between(0.2, 0.3).all()


def test_the_mean_score_is_taken_without_holding_all_outputs(masks: Job, outputs: np.ndarray) -> None:
    assert peak_of(lambda: masks.mean_score(outputs)) < ALL / 3
    assert masks.mean_score(outputs) == pytest.approx(answer_rows(masks, "validation", outputs)["score"].mean())


def test_a_broken_row_costs_no_copy_of_all(masks: Job, outputs: np.ndarray, tmp_path: Path) -> None:
    broken = np.array(outputs)
    broken[3] = np.nan
    np.save(tmp_path / "broken.npy", broken)
    del broken
    mapped = np.load(tmp_path / "broken.npy", mmap_mode="r")
    assert peak_of(lambda: answer_rows(masks, "validation", mapped)) < ALL / 3
    assert np.flatnonzero(answer_rows(masks, "validation", mapped)["score"].isna()).tolist() == [3]


class Watched(nn.Module):
    """A layer that notes the rows of each call."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.called = nn.Conv2d(1, 1, 1), list[int]()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.called.append(len(images))
        result: torch.Tensor = self.layer(images)
        return result


def test_a_float_model_is_kept_with_outputs_that_are_written_part_by_part(masks: Job, tmp_path: Path) -> None:
    model = Watched().eval()
    kept = keep_float_model(masks, tmp_path, model, [])
    assert max(model.called) == 7 and sum(model.called) == 2 + ROWS
    written = np.load(tmp_path / OUTPUTS, mmap_mode="r")
    with torch.no_grad():
        expected = model.layer(torch.from_numpy(masks.splits["validation"].inputs[0])).numpy()
    assert np.allclose(written, expected, atol=1e-6)
    assert kept["accuracy"] == masks.mean_score(expected)


def test_a_module_is_scored_part_by_part(masks: Job) -> None:
    model = Watched().eval()
    score = masks.validation_score(model)
    assert max(model.called) == 7 and sum(model.called) == 2 + ROWS
    with torch.no_grad():
        expected = model.layer(torch.from_numpy(masks.splits["validation"].inputs[0])).numpy()
    assert score == pytest.approx(masks.mean_score(expected), abs=1e-6)

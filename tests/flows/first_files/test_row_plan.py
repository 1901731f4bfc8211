"""Arrays in their roles: what does not fit is one sentence, before anything is written."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from deployments.errors import ConfigurationError
from flows.first_files.array_folder import find_arrays
from flows.first_files.row_plan import RowPlan, plan_rows
from flows.first_files.workload_text import workload_text
from model_compression.training import predict
from tasks.upstream import FirstLook, RegisteredInput

ROWS = 20
CLASSES = np.arange(ROWS) % 3


def look(net: nn.Module, dtype: str, *sizes: int) -> FirstLook:
    torch.manual_seed(0)
    inputs = (RegisteredInput("x", dtype, sizes),)
    return FirstLook("tiny", "1", inputs, 10, partial(predict, net.eval()), trains=True, attends=False)


def planned(folder: Path, seen: FirstLook | None = None, **arrays: Any) -> RowPlan:
    np.savez(folder / "train.npz", **{"x": np.ones((ROWS, 4), np.float32), **arrays})
    return plan_rows(folder, find_arrays(folder), seen or look(nn.Linear(4, 3), "float32", 4), None, None)


@pytest.mark.parametrize("labels", [CLASSES[:15], np.int64(3), CLASSES[:0]], ids=["fewer", "one number", "none"])
def test_each_row_needs_a_right_answer(tmp_path: Path, labels: np.ndarray) -> None:
    with pytest.raises(ConfigurationError, match=r"the same number of rows in each array of train, got \d+ of labels"):
        planned(tmp_path, labels=labels)


def test_right_answers_that_are_no_numbers_are_named(tmp_path: Path) -> None:
    values = np.where(CLASSES == 1, np.nan, CLASSES)
    with pytest.raises(ConfigurationError, match=r"got NaN or infinity in 7 of 20 rows of labels"):
        planned(tmp_path, labels=values)


def test_an_array_of_another_length_is_no_slice(tmp_path: Path) -> None:
    plan = planned(tmp_path, labels=CLASSES, site=np.arange(ROWS), names=np.array(["a", "b", "c"]))
    assert plan.slices == ("site",)


def test_words_that_are_saved_as_bytes_are_read_as_text(tmp_path: Path) -> None:
    words = np.array([b"a", b"b", b"c"])[CLASSES]
    seen = look(nn.Linear(4, 3), "float32", 4)
    plan = planned(tmp_path, seen, labels=words, site=words)
    assert plan.labels == ("a", "b", "c")
    text = workload_text(seen, plan, drop_shared=False)
    assert '"site": arrays["site"].astype(str), "label": arrays["labels"].astype(str).reshape(-1)' in text


def test_rows_that_the_model_cannot_take_are_one_sentence(tmp_path: Path) -> None:
    tokens = look(nn.Sequential(nn.Embedding(5, 2), nn.Flatten(), nn.Linear(8, 3)), "int64", 4)
    with pytest.raises(ConfigurationError, match=r"expected model `tiny` version 1 to answer .* got IndexError"):
        planned(tmp_path, tokens, x=np.full((ROWS, 4), 9), labels=CLASSES)


def test_masks_with_two_numbers_that_are_no_class_are_refused(tmp_path: Path) -> None:
    masks = np.zeros((ROWS, 2, 2), np.uint8)
    masks[:, 0] = (254, 255)
    with pytest.raises(ConfigurationError, match=r"class numbers 0 to 1, and at most one other .* got 254, 255"):
        planned(tmp_path, look(nn.Conv2d(1, 2, 1), "float32", 1, 2, 2), x=np.ones((ROWS, 1, 2, 2)), masks=masks)

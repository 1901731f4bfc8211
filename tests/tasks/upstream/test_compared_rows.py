"""Rows that are compared with a sample from the sites: boxes by their number, and what is answered in words."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from tasks.upstream.representativeness_check import _sample
from tests.flows import boxes


def test_boxes_are_compared_by_their_number_in_a_row() -> None:
    rows, job = boxes.Spots().split("test"), SimpleNamespace(workload=boxes.Spots())
    given: Any = job
    found = _sample(given, np.zeros((100, 6, 4, 4), np.float32), rows.targets, rows.slices)
    assert found.targets is not None and set(found.targets.tolist()) == {0, 1, 2}
    assert found.targets.sum() == (rows.targets[..., 4] >= 0).sum()

"""What teaches: answers that are kept, or the parent."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tasks.teaching import teaching
from tasks.workspace import Workspace
from tests.tasks.tiny import Blobs, job, network


class Moving(Blobs):
    """Clouds whose points are new in every step."""

    def augment(self, inputs: tuple[Tensor, ...], generator: torch.Generator) -> tuple[Tensor, ...]:
        return (inputs[0] + 0.01,)


def given(tmp_path: Path, workload: Blobs) -> Any:
    parent: Any = SimpleNamespace(build=network, digest="p", answers=lambda rows: np.eye(3))
    return teaching(job(Workspace.at(tmp_path, "sqlite:///unused"), workload=workload), parent)


def test_rows_as_they_are_have_answers_already(tmp_path: Path) -> None:
    found = given(tmp_path, Blobs())
    assert np.array_equal(found.teacher, np.eye(3)) and found.augment is None


def test_new_rows_are_for_the_parent_itself(tmp_path: Path) -> None:
    found = given(tmp_path, Moving())
    assert isinstance(found.teacher, torch.nn.Module)
    (rows,) = found.augment((torch.zeros(1),), torch.Generator())
    assert float(rows) == np.float32(0.01)

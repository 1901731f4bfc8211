"""Distillation targets: answers that are kept, or the parent."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from quality_gates.gates import NonInferiority
from quality_gates.policy import SliceCondition
from tasks.compression.distillation_targets import distillation_targets
from tasks.workspace import Workspace
from tests.tasks.builders import context
from tests.tasks.tiny import Blobs, job, network


class Moving(Blobs):
    """Clouds whose points are new in every step."""

    def augment(self, inputs: tuple[Tensor, ...], _: torch.Generator) -> tuple[Tensor, ...]:
        return (inputs[0] + 0.01,)


def answered(rows: tuple[np.ndarray, ...]) -> np.ndarray:
    return np.eye(3)[np.arange(len(rows[0])) % 3]


def given(tmp_path: Path, workload: Blobs) -> Any:
    parent: Any = SimpleNamespace(build=network, digest="p", answers=answered)
    return distillation_targets(context(job(Workspace.at(tmp_path, "sqlite:///unused"), workload=workload), parent))


def test_rows_as_they_are_have_answers_already(tmp_path: Path) -> None:
    found = given(tmp_path, Blobs())
    assert np.array_equal(found.teacher[:3], np.eye(3)) and found.augment is None


def test_new_rows_are_for_the_parent_itself(tmp_path: Path) -> None:
    found = given(tmp_path, Moving())
    assert isinstance(found.teacher, torch.nn.Module)
    (rows,) = found.augment((torch.zeros(1),), torch.Generator())
    assert float(rows) == np.float32(0.01)


CRITICAL = NonInferiority.model_validate(
    {
        "kind": "non_inferiority",
        "name": "b",
        "metric": "accuracy",
        "against": "parent",
        "margin": 0.1,
        "confidence": 0.95,
        "slice": {"column": "label", "equals": "b"},
    }
)


@pytest.mark.parametrize("keys", [{}, {"metric": "recall", "of": 1, "slice": None}], ids=["a slice", "a class"])
def test_rows_of_critical_slices_are_drawn_more_often(tmp_path: Path, keys: dict[str, Any]) -> None:
    parent: Any = SimpleNamespace(build=network, digest="p", answers=answered)
    gate = NonInferiority.model_validate(CRITICAL.model_dump() | keys)
    plain = job(Workspace.at(tmp_path, "sqlite:///unused"), gates=(gate,))
    weighed = job(plain.workspace, gates=(gate,), critical_weight=2.5)
    assert distillation_targets(context(plain, parent)).weights is None
    labels = weighed.splits["train"].slices["label"]
    weights = distillation_targets(context(weighed, parent)).weights
    assert weights is not None and np.array_equal(weights, np.where(labels == "b", 2.5, 1))
    assert plain.digests("validation") == weighed.digests("validation")
    assert plain.digests("train") != weighed.digests("train")


def test_a_critical_slice_without_training_rows_is_said(tmp_path: Path, warned: list[str]) -> None:
    nobody = SliceCondition.model_validate({"column": "label", "equals": "z"})
    gate = CRITICAL.model_copy(update={"slice": nobody})
    parent: Any = SimpleNamespace(build=network, digest="p", answers=answered)
    weighed = job(Workspace.at(tmp_path, "sqlite:///unused"), gates=(gate,), critical_weight=2)
    weights = distillation_targets(context(weighed, parent)).weights
    assert weights is not None and (weights == 1).all()
    assert any("no training row is known to have" in message for message in warned)

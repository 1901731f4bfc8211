"""A loss that becomes NaN on the way: a clear answer, and the rounds that had finished are not computed again."""

from typing import Any

import pytest
import torch
from torch import Tensor

import flows.compress
from model_compression.errors import DivergedError
from model_compression.training import fine_tune
from tasks.workspace import Workspace
from tests.end_to_end.tiny.workload import Tiny
from tests.flows.conftest import Variant
from tests.flows.ladders import ladder

TOO_SMALL = {"budgets": {"size_kb": 2}}  # so that every round is wanted


class Rounds:
    """Counts the rounds that are trained; the loss of round `diverging` is NaN."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, diverging: int) -> None:
        self.trained, loss = 0, Tiny.loss

        def watched(*arguments: Any, **named: Any) -> Any:
            self.trained += 1
            self.training = True
            try:
                return fine_tune(*arguments, **named)
            finally:
                self.training = False

        def sick(workload: Tiny, outputs: Tensor, targets: Tensor) -> Tensor:
            value = loss(workload, outputs, targets)
            return value * torch.nan if self.training and self.trained == diverging else value

        self.training = False
        monkeypatch.setattr("tasks.compression.distillation_targets.fine_tune", watched)
        monkeypatch.setattr(Tiny, "loss", sick)


def rounds(most: int) -> dict[str, Any]:
    recipe = {
        "kind": "structured", "units": ["channels"], "weigh_by": "channels", "importance": "taylor", "ratio": 0.25,
        "round_to": 4, "accuracy_floor": 0.9, "max_rounds": most,
        "fine_tune": {
            "epochs": 1, "batch_size": 32, "learning_rate": 5e-3, "weight_decay": 0.0, "temperature": 2.0,
            "distillation_weight": 0.25, "seed": 0,
        },
    }  # fmt: skip
    return {"prune": recipe}


def test_a_round_that_diverges_is_the_answer_and_the_rounds_before_it_are_kept(
    world: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Rounds(monkeypatch, diverging=2)
    with pytest.raises(DivergedError, match="expected a finite loss, got nan at step 1; lower `learning_rate`"):
        flows.compress.compress("tiny", "1", variant("diverging", rounds(2), TOO_SMALL), world)
    assert seen.trained == 2
    mended = flows.compress.compress("tiny", "1", variant("mended", rounds(1), TOO_SMALL), world)
    assert seen.trained == 2  # round 1 was not computed again
    assert mended.answer == "refused"
    assert "round 1" in {row["snapshot"] for row in ladder(world, mended.devices[0].run_id)}

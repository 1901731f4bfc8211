"""The trial of a recipe's workload with the registered model, and why there may be none."""

from pathlib import Path

import pytest
from torch import Tensor

from tasks.upstream import resolve, try_with_model
from tasks.workspace import Workspace
from tests.tasks import tiny

DIGITS = Path("digits")


def test_without_a_registry_nothing_is_tried_and_none_is_made(tmp_path: Path) -> None:
    workspace = Workspace.at(tmp_path)
    assert "were not tried: there is no registry at sqlite:///" in try_with_model(DIGITS, workspace)
    assert not (tmp_path / "mlflow").exists()


@pytest.mark.usefixtures("registered")
def test_a_model_that_nobody_registered_is_not_tried(workspace: Workspace) -> None:
    assert "were not tried: model `digits`: expected it in the registry" in try_with_model(DIGITS, workspace)


def test_a_registry_that_is_away_is_told(tmp_path: Path, unreachable: str) -> None:
    assert "were not tried: MLflow at" in try_with_model(DIGITS, Workspace.at(tmp_path, unreachable))


class LostMean(tiny.Blobs):
    """A loss for each row, as of a loss function whose reduction is none."""

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs[:, 0] - targets) ** 2


@pytest.mark.usefixtures("registered")
def test_a_wrong_loss_is_a_warning_of_a_run(workspace: Workspace, warned: list[str]) -> None:
    resolve.fn(tiny.job(workspace, workload=LostMean()))
    (said,) = [each for each in warned if "loss()" in each]
    assert "take its mean; correct Workload.loss; a training will fail" in said

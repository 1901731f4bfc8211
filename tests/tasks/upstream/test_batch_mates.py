"""Registered torch models that answer a row by the rows beside it, or with no number: refused before any long work."""

import logging

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deployments.workload import Split, SplitName
from model_compression.errors import IntakeError
from tasks.registry import register_upstream
from tasks.upstream import TorchParent, resolve
from tasks.workspace import Workspace
from tests.tasks.tiny import FEATURES, LABELS, ROWS, Blobs, example, job

CLASSES = len(LABELS)


class Across(nn.Module):
    """Its answer to a row is relative to the batch; `share` says how much."""

    def __init__(self, share: float, offset: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(FEATURES, CLASSES)
        self.share, self.offset = share, offset

    def forward(self, rows: Tensor) -> Tensor:
        answers = self.layer(rows)
        return answers - self.share * answers.mean(0, keepdim=True) + self.offset


class BatchFirstForgotten(nn.Module):
    """Attention over what its author took for the time and is the batch."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.attention = nn.MultiheadAttention(FEATURES, 1)
        self.head = nn.Linear(FEATURES, CLASSES)

    def forward(self, rows: Tensor) -> Tensor:
        steps = rows.unsqueeze(1)
        return self.head(self.attention(steps, steps, steps, need_weights=False)[0].squeeze(1))


def norm(**settings: bool) -> nn.Module:
    torch.manual_seed(0)
    wide = nn.Linear(FEATURES, 8)
    return nn.Sequential(wide, nn.BatchNorm1d(8, **settings), nn.ReLU(), nn.Linear(8, CLASSES))


def registered(workspace: Workspace, name: str, model: nn.Module) -> tuple[str, str]:
    return name, register_upstream(workspace.tracking_uri, name, model.eval(), example(), {})


@pytest.mark.parametrize(
    "model",
    [
        norm(track_running_stats=False),
        nn.Sequential(nn.Unflatten(1, (2, 3)), nn.BatchNorm1d(2, track_running_stats=False), nn.Flatten()),
        Across(share=1.0),
        Across(share=0.05, offset=1000.0),
        BatchFirstForgotten(),
    ],
    ids=["one value a row", "several values a row", "mean", "a small share beside a large constant", "attention"],
)
def test_an_answer_by_the_batch_is_refused(workspace: Workspace, model: nn.Module) -> None:
    name, version = registered(workspace, "mates", model)
    with pytest.raises(IntakeError) as caught:
        resolve.fn(job(workspace, name, version))
    assert str(caught.value).startswith(
        "expected the registered program to answer a row the same alone as among others, got "
    )
    assert "track_running_stats=False" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("model", [norm(), Across(share=0.0, offset=1000.0)], ids=["norm", "a large constant"])
def test_an_answer_by_the_row_alone_is_taken(workspace: Workspace, model: nn.Module) -> None:
    name, version = registered(workspace, "alone", model)
    assert isinstance(resolve.fn(job(workspace, name, version)), TorchParent)


class Negative(nn.Module):
    """The square root of a row's sum of features, `wrong` where that is negative."""

    def __init__(self, wrong: float) -> None:
        super().__init__()
        self.layer = nn.Linear(FEATURES, CLASSES)
        self.wrong = wrong

    def forward(self, rows: Tensor) -> Tensor:
        return torch.where(rows[:, :1] < -50, self.wrong, self.layer(rows))


class FewBroken(Blobs):
    """More validation rows than the first look takes, with some far away."""

    def split(self, name: SplitName) -> Split:
        split = super().split(name)
        if name != "validation":
            return split
        copies = 10
        rows = np.tile(split.inputs[0], (copies, 1))
        rows[[117, 201]] = -100
        slices = split.slices.iloc[np.tile(np.arange(len(split.slices)), copies)].reset_index(drop=True)
        return Split((rows,), np.tile(split.targets, copies), slices)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), float("-inf")])
def test_answers_that_are_no_numbers_are_counted_and_named(workspace: Workspace, wrong: float) -> None:
    name, version = registered(workspace, "broken", Negative(wrong))
    says = rf"in 2 of {10 * ROWS['validation']} of the validation rows \(rows 117, 201, counted from 0\); check"
    with pytest.raises(IntakeError, match=says):
        resolve.fn(job(workspace, name, version, workload=FewBroken()))


def test_what_the_registered_program_does_not_tell_is_warned_of(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    model = norm(momentum=None)  # type: ignore[arg-type]
    model.train()(torch.randn(32, FEATURES))
    name, version = registered(workspace, "cumulative", model)
    with caplog.at_level(logging.WARNING, "edgewright"):
        parent = resolve.fn(job(workspace, name, version))
    assert isinstance(parent, TorchParent)
    assert parent.build().get_submodule("1").momentum is None
    (said,) = [record.getMessage() for record in caplog.records if record.name == "edgewright"]
    assert said.startswith(f"model `cumulative` version {version}: expected the program to tell the momentum of batch")


def test_an_architecture_in_code_leaves_nothing_untold(workspace: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    class Building(Blobs):
        def build_model(self) -> nn.Module:
            return norm(momentum=None)  # type: ignore[arg-type]

    model = norm(momentum=None)  # type: ignore[arg-type]
    model.train()(torch.randn(32, FEATURES))
    name, version = registered(workspace, "coded", model)
    with caplog.at_level(logging.WARNING, "edgewright"):
        resolve.fn(job(workspace, name, version, workload=Building()))
    assert [record for record in caplog.records if record.name == "edgewright"] == []

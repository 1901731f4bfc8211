"""Architectures of build_model() whose program none rebuilds: pruned, kept by the next version, trained quantized."""

import pytest
import torch
from torch import Tensor, nn

from deployments.rungs import PostTraining, QuantizationAware
from tasks.compression import (
    DeployedStructure,
    Snapshot,
    export_snapshot,
    make_file,
    prune,
    structure_of,
    take_on,
)
from tasks.compression.structures import shapes_of
from tasks.registry import register_upstream
from tasks.workspace import Workspace
from tests.tasks import tiny
from tests.tasks.compression.structured import pruned_job, started

MINMAX = PostTraining(kind="ptq", calibration="minmax")


class Stateful(nn.Module):
    """Two residual blocks, and a buffer that counts the calls, which no rebuilt program has."""

    calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(tiny.FEATURES, 8), nn.Linear(8, 3)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 8)) for _ in range(2))
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, rows: Tensor) -> Tensor:
        self.calls.add_(1)
        x = self.first(rows)
        for block in self.blocks:
            x = x + block(x)
        return self.last(x) * (self.calls / self.calls)


class OfCode(tiny.Blobs):
    """Blobs whose workload has the architecture."""

    def build_model(self) -> nn.Module:
        return Stateful()


@pytest.fixture(scope="module")
def workspace(tracking_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    for seed in range(2):
        torch.manual_seed(seed)
        register_upstream(tracking_uri, "stateful", Stateful().eval(), tiny.example(), {})
    return Workspace.at(tmp_path_factory.mktemp("stateful"), tracking_uri)


def test_it_is_pruned_kept_by_the_next_version_and_trained_quantized(workspace: Workspace) -> None:
    begun, baseline = started(pruned_job(workspace, "stateful", workload=OfCode()))
    trajectory = prune.fn(begun, baseline)
    pruned = trajectory.snapshots[-1]
    model = pruned.load(begun.torch_parent)
    assert isinstance(model, Stateful)
    assert len(trajectory.snapshots) > 1 and pruned.parameters < baseline.snapshot.parameters
    assert [each.layer for each in trajectory.protected] == ["last"]

    structure = structure_of(begun, pruned, MINMAX)
    assert structure is not None
    following = started(pruned_job(workspace, "stateful", "2", workload=OfCode()))
    kept = take_on(*following, DeployedStructure(7, structure))
    assert isinstance(kept, Snapshot)
    assert shapes_of(kept.load(following[0].torch_parent)) == structure.shapes

    training = begun.job.recipe.prune.fine_tune.model_dump()
    rung = QuantizationAware.model_validate({"kind": "qat", "fine_tune": training})
    device = begun.on(begun.job.recipe.devices[0])
    assert make_file(device, pruned, rung).path.is_file()
    assert export_snapshot(begun, pruned).path.is_file()

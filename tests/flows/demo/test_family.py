"""The upstream side of the shipped family: one training, a registered model for each task, equal backbones."""

from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

from deployments.recipe import read_recipe
from flows.demo import family
from flows.demo.example_networks import SharedBackboneNetwork, fashion_family
from flows.demo.examples import Example
from tasks.workspace import Workspace
from tests.tasks.tiny import FEATURES, LABELS

RECIPE = Path(__file__).parents[2] / "deployments" / "valid" / "family.yaml"


def small_family() -> nn.Module:
    """A backbone of one layer and two heads."""
    heads = [nn.Linear(8, len(LABELS)) for _ in range(2)]
    return SharedBackboneNetwork(nn.Sequential(nn.Linear(FEATURES, 8), nn.ReLU()), heads)


def test_the_members_are_trained_together_and_registered_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace.at(tmp_path)
    example = Example(str(RECIPE), small_family, epochs=2, learning_rate=1e-2)
    made = family.register_members(example, workspace, Console(quiet=True))
    assert made == {"tiny-kind": "1", "tiny-site": "1"} == _versions(example, workspace, monkeypatch)


def _versions(example: Example, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setattr(family, "trained", lambda *_: pytest.fail("trained again"))
    return family.register_members(example, workspace, Console(quiet=True))


def test_the_shipped_network_has_a_head_for_each_member() -> None:
    network, recipe = fashion_family().eval(), read_recipe(Path(family.example().recipe))
    assert isinstance(network, SharedBackboneNetwork)
    rows = torch.from_numpy(np.random.default_rng(0).random((3, 1, 28, 28), dtype=np.float32))
    with torch.no_grad():
        together, alone = network(rows), [model(rows) for model in network.models()]
    torch.testing.assert_close(torch.cat(alone, dim=1), together)
    assert [tuple(each.shape[1:]) for each in alone] == [member.outputs for member in recipe.members]

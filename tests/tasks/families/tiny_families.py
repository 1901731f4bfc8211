"""Families of tiny models: heads on one layer of points, registered as upstream teams do, and recipes for them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor, nn

from deployments.workload import Split, SplitName
from tasks.registry import register_upstream
from tests.deployments.yaml_cases import HERE
from tests.tasks.tiny import FEATURES, Blobs, example

WIDTH = 8
HEADS = {"kind": 3, "site": 2}


class Sites(Blobs):
    """The site of each point, which no model can tell from it; its own rows."""

    def split(self, name: SplitName) -> Split:
        split = super().split(name)
        return replace(split, targets=split.slices["site"].to_numpy(np.int64))


class Scaled(Blobs):
    """Points that were prepared in another way."""

    preprocessing = "divided by 10"


class WithoutTest(Blobs):
    """No rows to test with."""

    def split(self, name: SplitName) -> Split:
        if name == "test":
            raise FileNotFoundError("test.csv")
        return super().split(name)


class Wide(Sites):
    """Points with one more feature."""

    def split(self, name: SplitName) -> Split:
        split = super().split(name)
        return replace(split, inputs=(np.pad(split.inputs[0], ((0, 0), (0, 1))),))


class Pairs(Sites):
    """Every point twice, as two inputs."""

    def split(self, name: SplitName) -> Split:
        split = super().split(name)
        return replace(split, inputs=(*split.inputs, *split.inputs))


class Sum(nn.Module):
    """A head on the sum of two points."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.trunk = trunk()
        torch.manual_seed(outputs)
        self.head = nn.Linear(WIDTH, outputs)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return self.head(self.trunk(left + right))


def trunk(seed: int = 0) -> nn.Sequential:
    """The layer that all members share; another seed gives another one."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(FEATURES, WIDTH), nn.ReLU())


def model(outputs: int, body: nn.Module | None = None) -> nn.Module:
    """A head of so many outputs on the trunk."""
    layers = trunk() if body is None else body
    torch.manual_seed(outputs)
    return nn.Sequential(layers, nn.Linear(WIDTH, outputs)).eval()


def register(tracking_uri: str, name: str, module: nn.Module) -> str:
    """Register a version; returns its number."""
    return register_upstream(tracking_uri, name, module, example(), {})


def members(**workloads: str) -> list[dict[str, Any]]:
    """The members of a recipe as its file has them, with a gate each; keywords give a member another workload."""
    gate = _content()["members"][1]["gates"][0]
    named = {"kind": "Blobs", "site": "Sites", **workloads}
    return [
        {
            "name": name,
            "model": f"tiny-{name}",
            "workload": f"tests.tasks.families.tiny_families:{named[name]}",
            "outputs": [outputs],
            "gates": [gate],
        }
        for name, outputs in HEADS.items()
    ]


def recipe(folder: Path, model: str, written: Sequence[Mapping[str, Any]], **keys: Any) -> Path:
    """Write the recipe of a family; returns its path."""
    device = str(HERE / "devices" / "bench.yaml")
    path = folder / f"{model}.yaml"
    path.write_text(
        yaml.safe_dump({**_content(), "model": model, "devices": [device], "members": list(written), **keys})
    )
    return path


def _content() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((HERE / "valid" / "family.yaml").read_text())
    return content

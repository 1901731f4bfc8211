"""Two models on one backbone, which digit it is and whether that is odd, joined, registered and named in a recipe."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from torch import nn

from deployments.workload import Split, SplitName
from model_compression.families import backbone_and_heads
from tasks.registry import register_upstream
from tasks.workspace import Workspace
from tests.end_to_end.tiny.upstream import EXAMPLE
from tests.end_to_end.tiny.variants import write_variant
from tests.end_to_end.tiny.workload import Tiny
from tests.model_compression.families.members import Headed
from tests.tasks.joined import TASKS, trained

FAMILY = "digit-family"
GATE = {
    "kind": "non_inferiority", "name": "accuracy", "metric": "accuracy", "against": "parent", "margin": 0.2,
    "confidence": 0.95,
}  # fmt: skip


class Odd(Tiny):
    """A digit is odd or even; sliced by that."""

    def split(self, name: SplitName) -> Split:
        split = super().split(name)
        odd = split.targets % 2
        return Split(split.inputs, odd, pd.DataFrame({"odd": odd}))


def members(gates: Sequence[Mapping[str, Any]] = (GATE,)) -> list[dict[str, Any]]:
    """Return the members of the recipe, in the order of the heads."""
    kinds = {"digit": (Tiny, 10), "odd": (Odd, 2)}
    return [
        {"name": name, "model": f"digit-{name}", "workload": f"{kind.__module__}:{kind.__qualname__}",
         "outputs": [outputs], "gates": [dict(gate) for gate in gates]}
        for name, (kind, outputs) in kinds.items()
    ]  # fmt: skip


def write_family(
    folder: Path, name: str = "family", gates: Sequence[Mapping[str, Any]] = (GATE,), **device: Any
) -> str:
    """Write the recipe of the family for one device; returns its path."""
    path = Path(write_variant(folder, name, {"model": FAMILY, "members": members(gates)}, device))
    recipe = yaml.safe_load(path.read_text())
    del recipe["workload"], recipe["gates"]
    path.write_text(yaml.safe_dump(recipe))
    return str(path)


def new_members() -> dict[str, Headed]:
    """Return the trained members, each with a head and a copy of one backbone."""
    backbone, heads = backbone_and_heads(trained(), TASKS)
    return {name: Headed(copy.deepcopy(backbone), head) for name, head in heads.items()}


def register_member(workspace: Workspace, name: str, member: nn.Module) -> str:
    """Register a version of a member's own model; returns it."""
    return register_upstream(workspace.tracking_uri, f"digit-{name}", member.eval(), EXAMPLE, {})


def register_family(workspace: Workspace) -> str:
    """Register the members, joined and trained, as a version of the family's model; returns it."""
    return register_upstream(workspace.tracking_uri, FAMILY, trained(), EXAMPLE, {})

"""Families whose member `turn` gets a new head, on a trunk that was pruned with the former one."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import fx, nn

from model_compression.families import join, shared_backbone
from model_compression.pruning import Kind
from tests.model_compression.encoders import WIDTH
from tests.model_compression.families.members import IMAGES, VitTrunk, conv, linear, of, resnet_trunk
from tests.model_compression.toys import untrained

NAMES = ["kind", "turn"]


class Case(NamedTuple):
    """A trunk, and heads on it: that of `kind`, the former and the new one of `turn`; what each round removes."""

    trunk: Callable[[], nn.Module]
    kind: Callable[[], nn.Module]
    former: Callable[[], nn.Module]
    new: Callable[[], nn.Module]
    rounds: tuple[tuple[Kind, ...], ...]


def vit_trunk() -> nn.Module:
    torch.manual_seed(0)
    return VitTrunk()


def hidden() -> nn.Module:
    return nn.Sequential(nn.Linear(WIDTH, 16), nn.GELU(), nn.Linear(16, 5))


CASES = {
    "conv": Case(
        resnet_trunk, lambda: conv(32, 3), lambda: linear(32, 4), lambda: linear(32, 5), (("channels",), ("channels",))
    ),
    "vit": Case(
        vit_trunk,
        lambda: nn.Linear(WIDTH, 3),
        lambda: nn.Linear(WIDTH, 4),
        hidden,
        (("heads",), ("layers",), ("channels",)),
    ),
}


def joined(case: Case, turn: Callable[[], nn.Module]) -> fx.GraphModule:
    """A family as it is registered; `kind` and the trunk have the same weights each time."""
    trunk = case.trunk()
    torch.manual_seed(1)
    members = [of("kind", trunk, case.kind()), of("turn", trunk, turn())]
    return untrained(join(members, shared_backbone(members)), IMAGES)

"""A new head on the pruned backbone of an earlier version reads the features that are left, with its own weights."""

import copy
import functools
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, fx, nn

from model_compression.errors import FamilyError
from model_compression.families import (
    backbone_and_heads,
    backbone_history,
    join,
    refitted_head,
    shared_backbone,
)
from model_compression.pruning import History, Kind
from tests.model_compression.encoders import WIDTH
from tests.model_compression.families.members import (
    IMAGES,
    VitTrunk,
    conv,
    linear,
    of,
    resnet_trunk,
)
from tests.model_compression.toys import prune, untrained

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


@functools.cache
def earlier(name: str) -> tuple[fx.GraphModule, History]:
    """The pruned backbone of the version before, and what it lost."""
    whole = joined(CASES[name], CASES[name].former)
    model, history = copy.deepcopy(whole), []
    for kinds in CASES[name].rounds:
        history += prune(model, IMAGES, kinds=kinds, ratio=0.4)
    return backbone_and_heads(model, NAMES)[0], backbone_history(history, whole)


@pytest.mark.parametrize("name", CASES)
def test_it_reads_the_features_that_are_left(name: str) -> None:
    case, (backbone, removed) = CASES[name], earlier(name)
    new = joined(case, case.new)
    head = refitted_head(new, NAMES, "turn", (IMAGES,), removed, backbone)
    features = backbone(IMAGES)
    assert features.shape[1] < backbone_and_heads(new, NAMES)[0](IMAGES).shape[1]
    assert head(features).shape == (len(IMAGES), 5)


@pytest.mark.parametrize("name", CASES)
def test_its_weights_are_its_own(name: str) -> None:
    case, (backbone, removed) = CASES[name], earlier(name)
    new = joined(case, case.new)
    whole = dict(backbone_and_heads(new, NAMES)[1]["turn"].named_parameters())
    for path, weight in refitted_head(new, NAMES, "turn", (IMAGES,), removed, backbone).named_parameters():
        assert {*weight.flatten().tolist()} <= {*whole[path].flatten().tolist()}
        assert weight.shape[0] == whole[path].shape[0]


class Whole(nn.Module):
    """A head that gives the features themselves beside its answer."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = x.mean((2, 3))
        return torch.cat([x, self.out(x)], 1)


def test_a_head_that_cannot_do_without_a_feature_is_refused() -> None:
    backbone, removed = earlier("conv")
    new = joined(CASES["conv"], Whole)
    with pytest.raises(FamilyError, match="the new head of `turn` to do without the features that the deployed"):
        refitted_head(new, NAMES, "turn", (IMAGES,), removed, backbone)


def test_another_backbone_is_refused() -> None:
    backbone, removed = earlier("conv")
    with pytest.raises(FamilyError, match="to leave the deployed backbone as it is"):
        refitted_head(joined(CASES["conv"], CASES["conv"].new), NAMES, "turn", (IMAGES,), removed[:1], backbone)

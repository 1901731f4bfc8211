"""A new head on the pruned backbone of an earlier version reads the features that are left, with its own weights."""

import copy
import functools

import pytest
import torch
from torch import Tensor, fx, nn

from model_compression.errors import FamilyError
from model_compression.families import (
    backbone_and_heads,
    backbone_history,
    refitted_head,
)
from model_compression.pruning import History
from tests.model_compression.families.members import IMAGES
from tests.model_compression.families.new_versions import CASES, NAMES, joined
from tests.model_compression.toys import prune


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

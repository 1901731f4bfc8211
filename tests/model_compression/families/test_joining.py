"""A joined model answers bit by bit as its members, before and after it was exported; its weights are its own."""

import pytest
import torch
from torch import nn

from model_compression.families import Member, join, shared_backbone
from tests.model_compression.families.members import (
    FAMILIES,
    IMAGES,
    Family,
    Gated,
    family,
    linear,
    of,
    registered,
    resnet_trunk,
)
from tests.model_compression.toys import untrained


@pytest.mark.parametrize("name", FAMILIES)
def test_its_answers_are_those_of_the_members_side_by_side(name: str) -> None:
    given = family(name)
    joined = given.joined()
    assert not joined.training
    assert torch.equal(joined(*given.rows), given.answers())


@pytest.mark.parametrize("name", FAMILIES)
def test_it_is_registered_and_rebuilt_without_a_difference(name: str) -> None:
    given = family(name)
    rebuilt = registered(name)
    assert torch.equal(rebuilt(*given.rows), given.answers())
    assert {path for path, _ in rebuilt.named_parameters()} == {path for path, _ in given.joined().named_parameters()}


@pytest.mark.parametrize("name", FAMILIES)
def test_every_layer_is_once_there_under_the_backbone_or_its_head(name: str) -> None:
    given = family(name)
    joined = given.joined()
    paths = [path for path, _ in joined.named_parameters()]
    heads = [path.split(".")[1] for path in paths if path.startswith("heads.")]
    assert set(heads) == {*given.names}
    assert all(path.startswith(("backbone.", "heads.")) for path in paths)
    backbone = shared_backbone(given.members)
    assert backbone.parameters == sum(
        weight.numel() for path, weight in joined.named_parameters() if path.startswith("backbone.")
    )


def test_members_keep_their_weights_when_the_joined_model_is_trained() -> None:
    given = family("resnet")
    before, joined = given.answers(), given.joined()
    with torch.no_grad():
        for weight in joined.parameters():
            weight.add_(1)
    assert not torch.equal(joined(*given.rows), before)
    assert torch.equal(given.answers(), before)


def test_it_can_be_trained() -> None:
    given = family("resnet")
    joined = given.joined().train()
    joined(*given.rows).square().mean().backward()
    assert all(weight.grad is not None and bool(weight.grad.isfinite().all()) for weight in joined.parameters())


def test_a_head_that_writes_into_the_features_changes_no_other_head() -> None:
    trunk = resnet_trunk()
    members = (of("writes", trunk, Gated(32)), of("reads", trunk, linear(32, 3)))
    given = Family(members, (IMAGES,))
    assert any("copy_" in str(node.target) or "fill_" in str(node.target) for node in members[0].model.graph.nodes)
    assert torch.equal(given.joined()(IMAGES), given.answers())


def test_a_weight_that_backbone_and_head_share_is_one_of_each() -> None:
    torch.manual_seed(0)
    table = nn.Embedding(20, 8)
    tied = nn.Linear(8, 20, bias=False)
    tied.weight = table.weight

    class Tied(nn.Module):
        def __init__(self, head: nn.Module) -> None:
            super().__init__()
            self.table, self.hidden, self.head = table, nn.Linear(8, 8), head
            self.hidden.load_state_dict({"weight": torch.eye(8), "bias": torch.ones(8)})

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.head(torch.relu(self.hidden(self.table(ids))).mean(1))

    ids = torch.arange(12).reshape(4, 3)
    heads = {"next": tied, "tone": nn.Linear(8, 2)}
    members = tuple(Member(name, untrained(Tied(head), ids)) for name, head in heads.items())
    given = Family(members, (ids,))
    joined = join(members, shared_backbone(members))
    assert torch.equal(joined(ids), given.answers())
    owners = {path for path, weight in joined.named_parameters() if weight.shape == table.weight.shape}
    assert {path.split(".")[0] for path in owners} == {"backbone", "heads"}

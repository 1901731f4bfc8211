"""The backbone that members share, found by what it computes, whatever the names and the heads are."""

import copy

import pytest
import torch
from torch import Tensor, fx, nn

from model_compression.errors import FamilyError
from model_compression.families import Member, shared_backbone
from tests.model_compression.families.members import (
    FAMILIES,
    IMAGES,
    Headed,
    OtherNames,
    conv,
    family,
    linear,
    mlp,
    number,
    of,
    pair,
    resnet_trunk,
)
from tests.model_compression.toys import untrained


def node(member: Member, name: str) -> fx.Node:
    return next(each for each in member.model.graph.nodes if each.name == name)


@pytest.mark.parametrize("name", FAMILIES)
def test_it_holds_most_of_every_member(name: str) -> None:
    given = family(name)
    found = shared_backbone(given.members)
    assert {*found.cut} == {*found.share} == {*given.names}
    assert all(0.7 < share < 1 for share in found.share.values())


def test_pooling_and_flattening_belong_to_it_where_all_heads_share_them() -> None:
    pooled = pair()
    found = shared_backbone(pooled)
    assert node(pooled[0], found.cut["kind"]).target is torch.ops.aten.flatten.using_ints
    with_places = [*pooled, of("where", resnet_trunk(), conv(32, 3))]
    assert shared_backbone(with_places).cut["kind"] == "relu__3"
    assert shared_backbone(with_places).digest != found.digest


def test_names_do_not_matter() -> None:
    same = shared_backbone(pair())
    other = shared_backbone([pair()[0], of("renamed", resnet_trunk(), mlp(32, 4), OtherNames)])
    assert other.digest == same.digest and other.parameters == same.parameters


def test_the_digest_is_that_of_the_backbone_alone() -> None:
    trunk = resnet_trunk()
    one = shared_backbone(pair())
    other = shared_backbone([of("c", trunk, number(32)), of("d", trunk, mlp(32, 7))])
    assert one.digest == other.digest
    changed = copy.deepcopy(trunk)
    with torch.no_grad():
        next(changed.parameters())[0, 0, 0, 0] += 1e-3
    moved = shared_backbone([of("a", changed, linear(32, 10)), of("b", changed, linear(32, 4))])
    assert moved.digest != one.digest


def test_dead_code_is_no_difference() -> None:
    members = pair()
    plain = shared_backbone(members)
    copied = Member("turn", copy.deepcopy(members[1].model))
    graph = copied.model.graph
    with graph.inserting_after(next(iter(graph.nodes))):
        dead = graph.call_function(torch.ops.aten.relu.default, (next(iter(graph.nodes)),))
    copied.model.recompile()
    assert dead in graph.nodes
    assert shared_backbone([members[0], copied]) == plain


def test_a_backbone_that_ends_early_says_how_little_it_holds() -> None:
    other = resnet_trunk()
    with torch.no_grad():
        other[1][1].conv1.weight.add_(1)  # type: ignore[index]
    members = [pair()[0], of("turn", other, linear(32, 4))]
    found = shared_backbone(members)
    assert 0.1 < found.share["kind"] < 0.4
    assert node(members[0], found.cut["kind"]).target == "trunk.1.0.relu"


def test_a_member_that_is_the_backbone_has_a_head_without_layers() -> None:
    found = shared_backbone([of("features", resnet_trunk(), nn.Identity()), pair()[0]])
    assert found.share["features"] == 1


def test_a_declared_end_is_taken_by_layer_or_by_node() -> None:
    members = pair()
    longest = shared_backbone(members)
    shorter = shared_backbone(members, "trunk.1.0")
    assert shorter.parameters < longest.parameters
    assert node(members[0], shorter.cut["kind"]).target == "trunk.1.0.relu"
    assert shared_backbone(members, shorter.cut["kind"]) == shorter


class ReadsTwo(nn.Module):
    """A head that reads the trunk's end, and what is before its last layer."""

    def __init__(self, trunk: nn.Module, classes: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.inner, self.last = nn.Linear(16, classes), nn.Linear(32, classes)

    def forward(self, image: Tensor) -> Tensor:
        before = self.trunk[1][0](self.trunk[0](image))  # type: ignore[index]
        return self.inner(before.mean((2, 3))) + self.last(self.trunk[1][1](before).mean((2, 3)))  # type: ignore[index]


def test_a_head_that_reads_an_inner_layer_is_refused_by_name_unless_the_end_is_declared() -> None:
    both = Member("both", untrained(ReadsTwo(resnet_trunk(), 3), IMAGES))
    members = [pair()[0], both]
    with pytest.raises(
        FamilyError, match=r"the head of `both`, whose .* reads the inner layer `trunk\.1\.0\.relu`"
    ) as caught:
        shared_backbone(members)
    assert "declare `trunk.1.0.relu`" in str(caught.value)
    assert node(both, shared_backbone(members, "trunk.1.0.relu").cut["both"]).target == "trunk.1.0.relu"


class MaskedMean(nn.Module):
    """A member whose head reads the mask of its inputs beside what the trunk gives."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table, self.hidden = nn.Embedding(20, 8), nn.Linear(8, 8)
        torch.manual_seed(outputs)
        self.head = nn.Linear(8, outputs)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        tokens = torch.relu(self.hidden(self.table(ids) * mask.unsqueeze(2)))
        return self.head((tokens * mask.sum(1)[:, None, None]).sum(1))


def test_a_head_that_reads_an_input_of_the_backbone_is_refused_by_name() -> None:
    rows = (torch.arange(12).reshape(4, 3), torch.ones(4, 3))
    tone = Member("tone", untrained(MaskedMean(3), *rows))
    plain = Member("plain", untrained(Unmasked(), *rows))
    with pytest.raises(FamilyError, match=r"the head of `tone`, whose .* reads the input `mask`, which all members"):
        shared_backbone([tone, plain])


class Unmasked(MaskedMean):
    """The same without a second look at the mask."""

    def __init__(self) -> None:
        super().__init__(2)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.head(torch.relu(self.hidden(self.table(ids) * mask.unsqueeze(2))).sum(1))


def test_heads_that_all_read_two_tensors_are_refused() -> None:
    trunk = resnet_trunk()
    members = [Member(name, untrained(ReadsTwo(trunk, count), IMAGES)) for name, count in (("a", 3), ("b", 2))]
    with pytest.raises(FamilyError, match=r"got several \(`mean` \(mean\), `mean_1` \(mean\)\)"):
        shared_backbone(members)


REFUSED = {
    "trunk.9": "which it does not have; its last layers are",
    "trunk.1.0.conv2": "a way around it in `kind`",
    "head.2": "they part at `head.2` of `kind`",
}


@pytest.mark.parametrize("declared", REFUSED)
def test_a_declared_end_that_is_none_is_refused(declared: str) -> None:
    members = pair()
    with pytest.raises(FamilyError, match=REFUSED[declared]):
        shared_backbone(members, declared)


def test_a_declared_end_that_another_member_lacks_is_refused_with_where_they_part() -> None:
    other = resnet_trunk()
    with torch.no_grad():
        other[1][1].conv1.weight.add_(1)  # type: ignore[index]
    members = [pair()[0], of("turn", other, linear(32, 4))]
    with pytest.raises(
        FamilyError, match=r"they part at `trunk\.1\.1\.conv1` of `kind` .* which differ in their weights"
    ):
        shared_backbone(members, "trunk.1.1")


def test_members_that_share_nothing_are_told_where_they_part_and_what_would_help() -> None:
    other = resnet_trunk()
    nn.init.normal_(other[0][0].weight)  # type: ignore[index]
    members = [pair()[0], of("turn", other, linear(32, 4), OtherNames)]
    with pytest.raises(FamilyError) as caught:
        shared_backbone(members)
    said = str(caught.value)
    assert "`trunk.0.0` of `kind` and `encoder.0.0` of `turn`, which differ in their weights" in said
    assert "freeze it (requires_grad_(False), and eval()" in said


def test_batch_norms_that_moved_are_named_as_the_cause() -> None:
    moved = resnet_trunk()
    with torch.no_grad():
        moved.train()(IMAGES)
    members = [pair()[0], of("turn", moved.eval(), linear(32, 4))]
    with pytest.raises(FamilyError, match="differ in their running statistics, which a batch norm changes"):
        shared_backbone(members, "trunk.1.1")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda trunk: trunk[0].__setitem__(0, nn.Conv2d(1, 16, 5, padding=2, bias=False)), "their settings"),
        (lambda trunk: trunk[0].__setitem__(0, nn.Sequential(nn.ReLU(), trunk[0][0])), "Conv2d and ReLU"),
    ],
)
def test_the_first_difference_is_described(change: object, why: str) -> None:
    trunk = resnet_trunk()
    change(trunk)  # type: ignore[operator]
    members = [pair()[0], of("turn", trunk, linear(32, 4))]
    with pytest.raises(FamilyError, match=why):
        shared_backbone(members)


class TwoInputs(Headed):
    """A member that takes a second input."""

    def forward(self, image: Tensor, scale: Tensor) -> Tensor:  # type: ignore[override]
        return self.head(self.trunk(image)) * scale


def test_members_with_other_numbers_of_inputs_are_refused() -> None:
    two = Member("two", untrained(TwoInputs(resnet_trunk(), linear(32, 4)), IMAGES, torch.ones(len(IMAGES), 1)))
    with pytest.raises(FamilyError, match=r"1 \(image\) of `kind` and 2 \(image, scale\) of `two`"):
        shared_backbone([pair()[0], two])


def test_one_model_under_two_names_is_refused() -> None:
    kind = pair()[0]
    with pytest.raises(FamilyError, match="one program as `kind` and as `again`"):
        shared_backbone([kind, Member("again", kind.model)])


@pytest.mark.parametrize("names", [["kind"], ["kind", "kind"], ["kind", "a.b"], []])
def test_names_that_cannot_tell_members_apart_are_refused(names: list[str]) -> None:
    given = family("resnet")
    members = [Member(name, each.model) for name, each in zip(names, given.members, strict=False)]
    with pytest.raises(FamilyError, match="two or more members, each with a name of its own"):
        shared_backbone(members)

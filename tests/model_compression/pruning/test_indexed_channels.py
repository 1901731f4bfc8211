"""Channels by indices: which belong together, proof by removal against silencing, and what stays with a reason."""

import copy
import itertools
import random
from collections.abc import Iterable
from functools import cache

import pytest
import torch
from torch import nn
from torch.fx import GraphModule

from model_compression.intake import rebuild
from model_compression.pruning import parameters, protected_units, units_of
from model_compression.pruning.channel_groups import ChannelGroup
from model_compression.pruning.indexed_channels import IndexedChannels
from model_compression.pruning.trials import silenced
from tests.model_compression.architectures import export
from tests.model_compression.pruning.channel_models import MODELS
from tests.model_compression.toys import prune

ALL = pytest.mark.parametrize("name", MODELS)


@cache
def _built(name: str) -> GraphModule:
    torch.manual_seed(0)
    model = MODELS[name].build().eval()
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.running_mean, -1, 1)  # type: ignore[arg-type]
    return rebuild(export(model, MODELS[name].rows))


def built(name: str) -> GraphModule:
    return copy.deepcopy(_built(name))


def lost_of(group: ChannelGroup, gone: Iterable[int]) -> dict[str, list[int]]:
    lost: dict[str, list[int]] = {}
    for number in gone:
        layer, places = next(iter(group.units[number].items()))
        lost.setdefault(layer, []).extend(places)
    return lost


@ALL
def test_each_layer_has_the_units_that_its_readers_ask_for(name: str) -> None:
    model = MODELS[name]
    found = IndexedChannels(built(name), (model.rows,)).channel_groups()
    assert {group.layer: (group.width, group.unit_size) for group in found} == model.units


@ALL
@pytest.mark.parametrize("seed", range(3))
def test_removal_of_any_units_equals_silencing_them(name: str, seed: int) -> None:
    rows, whole = MODELS[name].rows, built(name)
    channels = IndexedChannels(whole, (rows,))
    for group in channels.channel_groups():
        draw = random.Random(seed)
        gone = set(group.leaving(draw.sample(range(group.width), draw.randrange(1, group.width)), 0))
        smaller = built(name)
        channels.remove_from(smaller, lost_of(group, gone))
        assert parameters(smaller) < parameters(whole)
        with torch.no_grad():
            torch.testing.assert_close(smaller(rows), silenced(built(name), group, gone)(rows), rtol=1e-4, atol=1e-5)


@ALL
def test_rounds_shrink_every_model_and_nothing_else_is_protected_by_trial(name: str) -> None:
    model, rows = built(name), (MODELS[name].rows,)
    staying = set(IndexedChannels(model, rows).staying())
    tried = {each.layer for each in protected_units(model, rows, ("channels",))} - {"gru"}
    assert tried <= staying
    for _ in range(2):
        before = parameters(model)
        prune(model, *rows, kinds=("channels",), ratio=0.3)
        assert parameters(model) < before
        assert model(*rows).isfinite().all()


def test_what_stays_is_named_with_the_node_that_reads_it() -> None:
    model, rows = built("recurrent"), (MODELS["recurrent"].rows,)
    found = {each.layer: each.reason for each in protected_units(model, rows, ("channels",))}
    assert "gru reads them" in found["before"]
    assert "model's outputs" in found["head"]
    assert f"{3 * 5 * (6 + 5 + 2)} weights" in found["gru"]


def test_heads_of_a_rotary_attention_go_beside_its_channels() -> None:
    model, rows = built("rotated"), (MODELS["rotated"].rows,)
    units = units_of(model, rows, ("channels", "heads"), protected_units(model, rows))
    assert {group.layer for group in units.channel_groups} == {"out", "wide"}


class TestRemove:
    def channels(self) -> IndexedChannels:
        return IndexedChannels(built("gated"), (MODELS["gated"].rows,))

    def test_takes_the_pair_with_it(self) -> None:
        channels = self.channels()
        channels.remove({"both": [3]})
        assert channels.model.get_parameter("both.weight").shape == (18, 4)
        assert channels.model.get_parameter("gate.weight").shape == (14, 9)

    @pytest.mark.parametrize(
        "channels", [{"both": [20]}, {"both": list(range(20))}, {"down": [0]}, {"missing": [0]}], ids=str
    )
    def test_what_may_not_go_is_refused(self, channels: dict[str, list[int]]) -> None:
        with pytest.raises(ValueError, match="expected"):
            self.channels().remove(channels)


def test_every_set_of_units_of_a_shuffle_is_right() -> None:
    rows, whole = MODELS["shuffled"].rows, built("shuffled")
    channels = IndexedChannels(whole, (rows,))
    (group,) = channels.channel_groups()
    for gone in itertools.chain.from_iterable(itertools.combinations(range(group.width), count) for count in (1, 2)):
        smaller = built("shuffled")
        channels.remove_from(smaller, lost_of(group, gone))
        with torch.no_grad():
            expected = silenced(built("shuffled"), group, set(gone))(rows)
            torch.testing.assert_close(smaller(rows), expected, rtol=1e-4, atol=1e-5)


def test_a_layer_whose_weight_an_operator_reads_stays() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.head = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)
            self.second.weight = self.first.weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.second(self.first(x).relu()).relu())

    rows = torch.randn(3, 6)
    model = rebuild(export(Tied().eval(), rows))
    found = {each.layer: each.reason for each in protected_units(model, (rows,), ("channels",))}
    assert "linear" in found["first"]
    assert units_of(model, (rows,), ("channels",)).channel_groups == ()

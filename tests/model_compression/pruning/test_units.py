"""Channels, heads and layers of one model: found, protected with a reason, removed by a round."""

import copy
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.fx import GraphModule

from model_compression.intake import rebuild
from model_compression.pruning import costs_of, parameters, trials, unit_scores, units
from model_compression.pruning.rounds import History, remove_units, removed_units, replay
from model_compression.pruning.structure import Residual, observe, residuals
from model_compression.pruning.trials import Removal, Tried, failing
from model_compression.pruning.units import KINDS, protected_units, units_of
from tests.model_compression.pruning.structure.attention_models import MODELS, OneAttention, built
from tests.model_compression.toys import prune, untrained

BOTH = pytest.mark.parametrize("name", ["norms first", "fused vit", "bert"])


@BOTH
def test_only_the_output_stays(name: str) -> None:
    model, rows = built(name), MODELS[name].rows
    assert {each.layer for each in protected_units(model, rows)} == {"head"}
    units = units_of(model, rows, KINDS, protected_units(model, rows))
    assert (units.count("heads"), units.count("layers")) == (12, 3)
    assert units.count("channels") >= 3 * 64


@pytest.mark.parametrize("kinds", [["channels"], ["heads"], ["layers"]], ids=str)
def test_only_the_kinds_that_were_asked_for_go(kinds: list[str]) -> None:
    model, rows = built("bert"), MODELS["bert"].rows
    (removed,) = prune(model, *rows, kinds=kinds)  # type: ignore[arg-type]
    assert set(removed) == set(kinds)


@BOTH
def test_three_rounds_of_all_kinds_replay_bit_by_bit(name: str) -> None:
    model, rows = built(name), MODELS[name].rows
    history: History = []
    for ratio in (0.3, 0.2, 0.1):
        before = parameters(model)
        history += prune(model, *rows, kinds=KINDS, ratio=ratio)
        assert parameters(model) < before
    again = replay(built(name), rows, json.loads(json.dumps(history)))
    again.load_state_dict(model.state_dict(), strict=True)
    assert torch.equal(again.eval()(*rows), model.eval()(*rows))
    assert sum(removed_units(history).values()) > 0


def test_bounds_hold_over_kinds() -> None:
    model, rows = built("bert"), MODELS["bert"].rows
    units = units_of(model, rows, ("heads", "layers"))
    scores = unit_scores(model, [(rows, torch.arange(4))], F.cross_entropy, layers=units.layers)
    bounds = {"heads": 2.0, "layers": 0.0}
    history = remove_units(model, rows, units, scores, 0.5, round_to=1, at_most=bounds)
    assert removed_units(history) == {"heads": 2, "layers": 0, "channels": 0}


@pytest.mark.parametrize(("bounds", "gone"), [({}, 1), ({"layers": 3.0}, 3)], ids=["half stay", "as many as told"])
def test_half_of_the_layers_stay_unless_told_otherwise(bounds: dict[str, float], gone: int) -> None:
    model, rows = built("bert"), MODELS["bert"].rows
    units = units_of(model, rows, ("layers",))
    scores = unit_scores(model, [(rows, torch.arange(4))], F.cross_entropy, layers=units.layers)
    history = remove_units(model, rows, units, scores, 1.0, round_to=1, at_most=bounds)
    assert removed_units(history)["layers"] == gone


def gate(model: GraphModule, layer: Residual, rows: tuple[torch.Tensor, ...], targets: torch.Tensor) -> float:
    """dLoss/dgate by moving the output of a layer a little towards its input."""
    losses = []
    for step in (-1e-2, 1e-2):
        moved = copy.deepcopy(model)
        named = {node.name: node for node in moved.graph.nodes}
        start, end = named[layer.start.name], named[layer.end.name]
        with moved.graph.inserting_after(end):
            mixed = moved.graph.call_function(torch.lerp, (start, end, 1 + step))
        end.replace_all_uses_with(mixed, delete_user_cb=lambda user: user is not mixed)  # noqa: B023
        moved.recompile()
        losses.append(float(F.cross_entropy(moved(*rows).double(), targets)))
    return (losses[1] - losses[0]) / 2e-2


def test_a_layers_score_is_that_of_a_gate_that_is_really_put_there() -> None:
    model, rows = built("norms first"), MODELS["norms first"].rows
    units, targets = units_of(model, rows, ("layers",)), torch.arange(4)
    scores = unit_scores(model, [(rows, targets)], F.cross_entropy, layers=units.layers)
    for layer in units.layers:
        assert float(scores.layer(layer.name)) == pytest.approx(gate(model, layer, rows, targets) ** 2, rel=0.05)


@pytest.mark.parametrize("criterion", ["taylor", "gradient", "magnitude"])
def test_a_silent_head_goes_first_by_every_criterion(criterion: str) -> None:
    model, rows = built("bert"), MODELS["bert"].rows
    units = units_of(model, rows, ("heads",))
    with torch.no_grad():
        model.get_parameter("layer.1.out.weight")[:, units.attentions[1].heads[2].columns] = 0
    scores = unit_scores(model, [(rows, torch.arange(4))], F.cross_entropy, criterion)  # type: ignore[arg-type]
    (removed,) = remove_units(model, rows, units, scores, 0.05, round_to=1)
    assert removed == {"heads": {"layer.1.out": [2]}}


def test_heads_that_cannot_be_told_apart_are_named() -> None:
    class Same(OneAttention):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.first(x)[:, None]
            return self.last(F.scaled_dot_product_attention(x.relu(), x, x)[:, 0].mean(1))

    rows = MODELS["one attention"].rows
    kept = protected_units(untrained(Same(), *rows), rows)
    assert any("its heads stay" in each.reason for each in kept)


class TestCosts:
    @pytest.mark.parametrize("resource", ["bytes", "memory", "latency"])
    def test_are_shares_of_the_whole(self, resource: str) -> None:
        model, rows = built("fused vit"), MODELS["fused vit"].rows
        costs = costs_of(model, rows, resource)  # type: ignore[arg-type]
        assert sum(costs.taken.values()) == pytest.approx(1)
        assert all(share > 0 for share in costs.taken.values())

    @pytest.mark.parametrize(("name", "operators"), [("bert", 1), ("bert by hand", 3), ("with weights", 3)])
    def test_a_head_frees_its_share_of_the_products(self, name: str, operators: int) -> None:
        model, rows = built(name), MODELS[name].rows
        attention, *_ = units_of(model, rows, ("heads",), protected_units(model, rows, ("heads",))).attentions
        costs = costs_of(model, rows, "latency")
        assert len(attention.operators) == operators
        names = [str(node.target) if node.op == "call_module" else node.name for node in attention.operators]
        products = sum(costs.taken[name] for name in names)
        layers = sum(costs.taken[name] for name in (*attention.makers, attention.name))
        assert costs.of_head(attention) == pytest.approx((products + layers) / len(attention.heads))

    def test_what_frees_more_bytes_goes_before_its_equal(self) -> None:
        wide, narrow = nn.Linear(64, 8), nn.Linear(8, 8)
        model = nn.Sequential(wide, nn.ReLU(), narrow, nn.ReLU(), nn.Linear(8, 3)).eval()
        rows = (torch.randn(16, 64),)
        units = units_of(model, rows, ("channels",), protected_units(model, rows, ("channels",)))
        costs = costs_of(model, rows, "bytes")
        by_layer = {group.layer: costs.of_channel(group) for group in units.channel_groups}
        assert by_layer["0"] == pytest.approx((65 + 8) / parameters(model), rel=0.05)
        assert by_layer["2"] == pytest.approx((9 + 3) / parameters(model), rel=0.05)

    def test_memory_is_what_is_alive_at_the_peak(self) -> None:
        model = untrained(nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 100), nn.Linear(100, 3)), torch.randn(2, 4))
        costs = costs_of(model, (torch.randn(2, 4),), "memory")
        assert costs.taken == pytest.approx({"1": 100 / 108, "0": 8 / 108})


def rebuilt(model: nn.Module, rows: tuple[torch.Tensor, ...]) -> GraphModule:
    return rebuild(torch.export.export(model.eval(), rows, dynamic_shapes=({0: torch.export.Dim("rows")},)))


class Deep(nn.Module):
    """Residual layers one after another."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(6, 8), nn.Linear(8, 3)
        self.wide = nn.ModuleList(nn.Linear(8, 12) for _ in range(depth))
        self.narrow = nn.ModuleList(nn.Linear(12, 8) for _ in range(depth))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        stream = self.stem(rows)
        for wide, narrow in zip(self.wide, self.narrow, strict=True):
            stream = stream + narrow(torch.tanh(wide(stream)))
        result: torch.Tensor = self.head(stream)
        return result


def tried(monkeypatch: pytest.MonkeyPatch, model: nn.Module) -> tuple[int, dict[str, str]]:
    """Return how many copies were tried, and the layers that must stay with their reasons."""
    rows, copies = (torch.randn(4, 6),), list[nn.Module]()

    def counted(given: nn.Module) -> nn.Module:
        copies.append(given)
        return copied(given)

    copied = trials._copied
    monkeypatch.setattr(trials, "_copied", counted)
    found = protected_units(rebuilt(model, rows), rows)
    monkeypatch.undo()
    return len(copies), {each.layer: each.reason for each in found if each.kind == "layers"}


def test_as_many_copies_are_tried_of_a_deep_model_as_of_a_shallow_one(monkeypatch: pytest.MonkeyPatch) -> None:
    (shallow, none), (deep, none_either) = (tried(monkeypatch, Deep(depth)) for depth in (3, 24))
    assert none == none_either == {}
    assert 0 < deep == shallow


def test_a_layer_from_whose_inside_others_read_is_tried_alone() -> None:
    rows = (torch.randn(4, 6),)
    model = rebuilt(Deep(2), rows)
    first, _ = residuals(model, observe(model, rows))
    assert not first.is_read_elsewhere
    reader = next(node for node in first.nodes if node is not first.end and node.all_input_nodes[0] in first.nodes)
    assert replace(first, nodes=first.nodes - {reader}).is_read_elsewhere


def test_where_not_all_layers_can_go_at_once_each_is_tried_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    tried_alone: list[str] = []

    def one_by_one(model: nn.Module, example: Any, trials: Sequence[Tried], remove: Removal) -> dict[str, str]:
        if any(len(each.units) > 1 for each in trials):
            return {each.name: "not all at once" for each in trials}
        tried_alone.extend(each.name for each in trials)
        return failing(model, example, trials, remove)

    monkeypatch.setattr(units, "failing", one_by_one)
    rows = (torch.randn(4, 6),)
    assert protected_units(rebuilt(Deep(3), rows), rows, ("layers",)) == []
    assert len(tried_alone) == 3

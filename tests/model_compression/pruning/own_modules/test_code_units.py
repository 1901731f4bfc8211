"""Modules of code lose the units that their rebuilt program would, and answer as it does then."""

import copy
import functools
import json
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from model_compression.errors import PruningError
from model_compression.pruning import (
    CostKind,
    History,
    Kind,
    Protected,
    costs_of,
    failing_units,
    load_snapshot,
    protected_units,
    removed_units,
    replay,
    save_snapshot,
    unit_scores,
    units_of,
)
from model_compression.pruning.indexed_channels import IndexedChannels
from model_compression.pruning.own_modules import change, program_of
from model_compression.pruning.rounds import replay_round
from model_compression.pruning.trials import random_sets, silenced, silenced_heads
from tests.model_compression.pruning.own_modules.code_models import MODELS, CodeVit, code, rebuilt
from tests.model_compression.toys import prune

KINDS: tuple[Kind, ...] = ("channels", "heads", "layers")
NAMES = ["vit", "torch encoder", "bert", "resnet"]
EQUAL = pytest.mark.parametrize("name", NAMES)


@functools.cache
def _protected(name: str) -> tuple[Protected, ...]:
    return tuple(protected_units(code(name), MODELS[name].rows))


@functools.cache
def _pruned(name: str) -> tuple[nn.Module, History]:
    model, rows, protected = code(name), MODELS[name].rows, _protected(name)
    history = prune(model, *rows, kinds=("channels", "heads"), protected=protected)
    for layer in units_of(model, rows, ("layers",), protected).layers[:1]:
        history.append(replay_round(model, rows, {"layers": [layer.name]}))
    return model, history + prune(model, *rows, kinds=("channels", "heads"), protected=protected)


def pruned(name: str) -> tuple[nn.Module, History]:
    """A fresh copy of a module of code after three rounds, and what they removed."""
    return copy.deepcopy(_pruned(name))


@pytest.mark.parametrize("name", [*NAMES, "decoder"])
def test_the_same_units_are_found_as_in_the_rebuilt_program(name: str) -> None:
    rows, program = MODELS[name].rows, rebuilt(name)
    assert _protected(name) == tuple(protected_units(program, rows))
    found, expected = (units_of(model, rows, KINDS, _protected(name)) for model in (code(name), program))
    assert {kind: found.count(kind) for kind in KINDS} == {kind: expected.count(kind) for kind in KINDS}
    assert found.count("channels") > 0


@pytest.mark.parametrize("name", [*NAMES, "heads with biases", "residuals", "weight norms"])
def test_rounds_remove_what_they_remove_of_the_rebuilt_program(name: str) -> None:
    model, history = pruned(name)
    again = replay(rebuilt(name), MODELS[name].rows, json.loads(json.dumps(history)))
    units, gone = units_of(rebuilt(name), MODELS[name].rows, KINDS, _protected(name)), removed_units(history)
    assert all(gone[kind] for kind in KINDS if units.count(kind))
    assert sum(map(torch.numel, model.parameters())) == sum(map(torch.numel, again.parameters()))
    assert torch.allclose(model(*MODELS[name].rows), again(*MODELS[name].rows), atol=1e-5)


@EQUAL
def test_removal_of_units_equals_silencing_them(name: str) -> None:
    model, rows = code(name), MODELS[name].rows
    units = units_of(model, rows, ("channels", "heads"), _protected(name))
    silent = copy.deepcopy(program_of(model, rows))
    channels: dict[str, list[int]] = {}
    for number, group in enumerate(each for each in units.channel_groups if not each.mixes):
        gone = list(random_sets(group.layer, group.width))[number % 3]
        silenced(silent, group, set(gone))
        for layer, places in (item for unit in gone for item in group.units[unit].items()):
            channels.setdefault(layer, []).extend(places)
    for attention in units.attentions:
        silenced_heads(silent, attention, [0, 2])
    heads = {attention.name: [0, 2] for attention in units.attentions}
    replay_round(model, rows, {"channels": channels, "heads": heads})
    assert channels
    assert torch.allclose(model(*rows), silent(*rows), atol=1e-5)


@EQUAL
def test_a_snapshot_is_loaded_into_fresh_code_bit_by_bit(name: str, tmp_path: Path) -> None:
    model, history = pruned(name)
    rows = MODELS[name].rows
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.01)  # as training would change them
    save_snapshot(tmp_path, model, history)
    loaded = load_snapshot(tmp_path, lambda: code(name), rows)
    assert torch.equal(loaded(*rows), model.eval()(*rows))
    assert failing_units(loaded, rows, KINDS, _protected(name)) == []


@EQUAL
def test_it_is_still_code_that_trains(name: str) -> None:
    model, _ = pruned(name)
    rows, classes = MODELS[name].rows, MODELS[name].classes
    before = [parameter.detach().clone() for parameter in model.parameters()]
    optimizer = torch.optim.SGD(model.train().parameters(), 0.1)
    F.cross_entropy(model(*rows), torch.arange(4) % classes).backward()
    optimizer.step()
    assert not isinstance(model, torch.fx.GraphModule)
    assert sum(not torch.equal(one, other) for one, other in zip(before, model.parameters(), strict=True)) > 3
    scores = unit_scores(model, [(rows, torch.arange(4) % classes)], F.cross_entropy)
    assert scores.inputs  # the twin has the weights of after the step
    assert torch.allclose(program_of(model, rows)(*rows), model.eval()(*rows), atol=1e-5)


def test_weights_of_a_norm_are_plain_where_they_got_smaller() -> None:
    model, rows = code("weight norms"), MODELS["weight norms"].rows
    assert [each.layer for each in protected_units(model, rows)] == ["head"]
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    assert all(torch.equal(before[name], parameter) for name, parameter in model.named_parameters())
    replay_round(model, rows, {"channels": {"first": [0, 5, 6]}})
    names = {name for name, _ in model.named_parameters()}
    assert {"first.weight", "second.weight", "third.weight_g"} <= names
    with torch.no_grad():
        model.get_parameter("third.weight_g").mul_(2)
    assert torch.allclose(program_of(model, rows)(*rows), model(*rows), atol=1e-5)


def test_sizes_in_attributes_are_those_of_what_is_left() -> None:
    model, rows = code("vit"), MODELS["vit"].rows
    replay_round(model, rows, {"heads": {"blocks.1.attn.proj": [0, 3]}, "channels": {"blocks.0.mlp.0": [5, 7]}})
    sizes = {path: vars(model.get_submodule(path)) for path in ("blocks.0.attn", "blocks.1.attn", "blocks.0.mlp.0")}
    assert [sizes[f"blocks.{number}.attn"]["num_heads"] for number in range(2)] == [4, 2]
    assert sizes["blocks.1.attn"]["head_dim"] == 8
    assert sizes["blocks.0.mlp.0"]["out_features"] == 62


def test_code_with_sizes_written_in_keeps_those_units_and_says_why() -> None:
    rows = MODELS["numbers in code"].rows
    kept = [each for each in protected_units(code("numbers in code"), rows) if each.kind == "heads"]
    assert [each.layer for each in kept] == [f"blocks.{number}.attn.proj" for number in range(3)]
    assert all("its code has sizes of its own" in each.reason and "[4, 17, 3, 4, 8]" in each.reason for each in kept)
    units = units_of(code("numbers in code"), rows, KINDS, kept)
    assert (units.count("heads"), units.count("layers")) == (0, 3)
    with pytest.raises(PruningError, match="sizes of its own"):
        replay_round(code("numbers in code"), rows, {"heads": {"blocks.1.attn.proj": [0]}})


def test_code_that_changes_its_own_tensors_is_pruned_and_they_stay_as_they_were() -> None:
    model, rows = code("counting"), MODELS["counting"].rows
    history = prune(model, *rows, ratio=0.5)
    assert removed_units(history)["channels"] == 12
    assert model.get_buffer("calls").item() == 1  # prune() itself runs the model once


def test_a_module_that_is_no_program_keeps_everything_and_says_why() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up, self.down = nn.Linear(8, 16), nn.Linear(16, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.down(self.up(x).relu() if x.sum() > 0 else self.up(x))

    rows = MODELS["counting"].rows
    (kept,) = protected_units(Branching().eval(), rows)
    assert (kept.layer, kept.kind) == ("the model", None)
    assert "expected the code of build_model() to export" in kept.reason
    assert not any(units_of(Branching(), rows, KINDS, [kept]).count(kind) for kind in KINDS)
    with pytest.raises(PruningError, match="expected the code"):
        units_of(Branching(), rows, KINDS)


@pytest.mark.parametrize("resource", ["bytes", "memory"])
def test_costs_are_those_of_the_rebuilt_program(resource: CostKind) -> None:
    costs = [costs_of(model, MODELS["vit"].rows, resource) for model in (code("vit"), rebuilt("vit"))]
    assert costs[0].taken == pytest.approx(costs[1].taken)


def test_a_twin_is_made_anew_where_the_module_was_changed_beside_it() -> None:
    model, rows = code("residuals"), MODELS["residuals"].rows
    first = program_of(model, rows)
    assert program_of(model, rows) is first
    model.set_submodule("first", nn.Linear(8, 16, bias=False))
    assert program_of(model, rows) is not first
    assert torch.allclose(program_of(model, rows)(*rows), model(*rows), atol=1e-6)


def test_a_change_that_nothing_follows_leaves_twin_and_copies_alone() -> None:
    model, rows = code("vit"), MODELS["vit"].rows
    before = model(*rows)
    IndexedChannels(program_of(model, rows), rows)  # a look changes nothing
    change(model, rows, lambda program: program)
    assert torch.equal(model(*rows), before)


def test_a_mask_goes_through_an_attention_of_torch_with_fewer_heads() -> None:
    model = nn.MultiheadAttention(32, 4, dropout=0.1, batch_first=True).eval()

    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention, self.head = model, nn.Linear(32, 3)

        def forward(self, x: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
            mask = torch.ones(5, 5, dtype=torch.bool).triu(1)
            mixed, weights = self.attention(
                x, x, x, key_padding_mask=padding, attn_mask=mask, average_attn_weights=True
            )
            return self.head(mixed.mean(1)) + weights.mean((1, 2))[:, None]

    rows = (torch.randn(4, 5, 32), torch.tensor([[False] * 4 + [True]]).expand(4, -1).contiguous())
    masked = Masked().eval()
    kept = protected_units(masked, rows, ("heads",))
    assert not any("does not let" in each.reason for each in kept), kept
    assert isinstance(CodeVit(), nn.Module)

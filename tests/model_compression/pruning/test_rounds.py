"""Rounds of pruning on every kind of architecture, and the choice of units by score and cost."""

import json
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from model_compression.errors import PruningError
from model_compression.intake import rebuild
from model_compression.pruning import Protected, parameters, protected_units, units_of
from model_compression.pruning.rounds import Candidates, choose, replay
from tests.model_compression.architectures import ARCHITECTURES, export, exported
from tests.model_compression.toys import prune, untrained

ALL = pytest.mark.parametrize("name", ARCHITECTURES)
ROUND_TO = 4


def parent(name: str) -> nn.Module:
    return rebuild(exported(name)[1])


def widths(model: nn.Module) -> dict[str, int]:
    """Layer -> how many channels it makes."""
    kinds = (nn.Conv1d, nn.Conv2d, nn.Linear)
    found = {name: part.weight.shape[0] for name, part in model.named_modules() if isinstance(part, kinds)}
    tables = {name: part.embedding_dim for name, part in model.named_modules() if isinstance(part, nn.Embedding)}
    return found | tables


@ALL
def test_three_rounds_shrink_the_model_in_steps_and_it_still_runs(name: str) -> None:
    model, rows = parent(name), ARCHITECTURES[name].rows
    expected = model(rows).shape
    for _ in range(3):
        before, weights = widths(model), parameters(model)
        prune(model, rows)
        assert parameters(model) < weights
        changed = {layer: width for layer, width in widths(model).items() if width != before[layer]}
        assert changed
        assert all(width % ROUND_TO == 0 and width >= before[layer] / 2 for layer, width in changed.items())
        assert model(rows).shape == expected
    F.cross_entropy(model.train()(rows), torch.zeros(len(rows), dtype=torch.long)).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("name", ["cnn", "resnet", "mobilenet"])
@pytest.mark.parametrize("ratio", [0.1, 0.2])
def test_the_ratio_of_all_channels_goes(name: str, ratio: float) -> None:
    model, rows = parent(name), ARCHITECTURES[name].rows
    (removed,) = prune(model, rows, ratio=ratio, round_to=1)
    free = {"cnn": 16 + 32 + 64, "resnet": 16 + 16 + 32 + 32, "mobilenet": 16 + 32 + 8}[name]
    assert sum(map(len, removed["channels"].values())) == pytest.approx(ratio * free, abs=0.5)


@ALL
def test_a_replayed_history_gives_the_same_model_bit_by_bit(name: str) -> None:
    model, rows = parent(name), ARCHITECTURES[name].rows
    history = prune(model, rows)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01)
    history += prune(model, rows)
    again = replay(parent(name), (rows,), json.loads(json.dumps(history)))
    again.load_state_dict(model.state_dict(), strict=True)
    assert torch.equal(again.eval()(rows), model.eval()(rows))
    assert parameters(again) == parameters(model)


def test_replaying_nothing_changes_nothing() -> None:
    model = parent("cnn")
    before = widths(model)
    assert widths(replay(model, (ARCHITECTURES["cnn"].rows,), [])) == before


def test_channels_that_add_nothing_go_first_and_the_answers_stay() -> None:
    model, rows = parent("resnet"), ARCHITECTURES["resnet"].rows
    for layer in ("stem.0", "stem.1", "layer1.0.bn2"):  # the stem's stream without its channels 2, 3, 8 and 13
        for parameter in model.get_submodule(layer).parameters():
            parameter.data[[2, 3, 8, 13]] = 0
    expected = model(rows)
    assert prune(model, rows, ratio=0.04) == [{"channels": {"stem.0": [2, 3, 8, 13]}}]
    torch.testing.assert_close(model(rows), expected)


def test_protected_layers_keep_their_width() -> None:
    model, rows = parent("cnn"), ARCHITECTURES["cnn"].rows
    before = widths(model)
    kept = [Protected("head", "the output"), Protected("hidden", "asked for")]
    (removed,) = prune(model, rows, ratio=0.4, protected=kept)
    assert set(removed["channels"]) <= {"features.0", "features.4"}
    assert {layer: widths(model)[layer] for layer in ("head", "hidden")} == {"head": 10, "hidden": before["hidden"]}


class TestProtection:
    @ALL
    def test_the_output_layer_is_found_with_its_reason(self, name: str) -> None:
        found = {
            each.layer: each.reason
            for each in protected_units(parent(name), (ARCHITECTURES[name].rows,), ("channels",))
        }
        assert "output" in found[ARCHITECTURES[name].head]
        if ARCHITECTURES[name].prunable:
            assert set(found) == {ARCHITECTURES[name].head}

    def test_the_model_stays_as_it_is(self) -> None:
        model, rows = parent("resnet"), ARCHITECTURES["resnet"].rows
        before, expected = {k: v.clone() for k, v in model.state_dict().items()}, model(rows)
        protected_units(model, (rows,), ("channels",))
        assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
        assert torch.equal(model(rows), expected)

    def test_channels_that_others_depend_on_are_said_to_mix(self) -> None:
        class Centred(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.first, self.last = nn.Conv2d(1, 8, 1), nn.Conv2d(8, 2, 1)

            def forward(self, x: Tensor) -> Tensor:
                x = self.first(x)
                return self.last(x - x.mean(1, keepdim=True))

        (group,) = units_of(Centred(), (torch.randn(2, 1, 4, 4),), ("channels",)).channel_groups
        assert (group.layer, group.mixes) == ("first", True)

    def test_channels_flattened_in_another_order_may_go(self) -> None:
        class Permuted(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.first, self.last = nn.Conv2d(1, 8, 1), nn.Linear(8 * 9, 2)

            def forward(self, x: Tensor) -> Tensor:
                return self.last(self.first(x).permute(0, 2, 3, 1).flatten(1))

        found = {each.layer for each in protected_units(Permuted(), (torch.randn(2, 1, 3, 3),), ("channels",))}
        assert found == {"last"}

    def test_a_layer_of_one_channel_is_kept(self) -> None:
        model = nn.Sequential(nn.Linear(3, 1), nn.Linear(1, 2))
        reasons = {each.layer: each.reason for each in protected_units(model, (torch.randn(2, 3),), ("channels",))}
        assert "can only go all together" in reasons["0"]


class TestNothingLeft:
    def test_steps_wider_than_every_layer(self) -> None:
        with pytest.raises(PruningError, match=r"multiples of 64.*lower `round_to`"):
            prune(parent("cnn"), ARCHITECTURES["cnn"].rows, round_to=64)

    def test_a_model_of_one_layer(self) -> None:
        rows = torch.randn(4, 5)
        with pytest.raises(PruningError, match="all are protected"):
            prune(untrained(nn.Linear(5, 3), rows), rows)

    def test_pruning_until_the_end_ends_and_the_model_still_runs(self) -> None:
        model, rows = parent("mlp"), ARCHITECTURES["mlp"].rows
        with pytest.raises(PruningError):
            for _ in range(30):
                prune(model, rows, ratio=0.5)
        assert widths(model) == {"first": 4, "second": 4, "out": 3}
        assert model(rows).shape == (6, 3)


def test_a_pruned_model_exports_again_with_its_new_shapes() -> None:
    model, rows = parent("resnet"), ARCHITECTURES["resnet"].rows
    prune(model, rows)
    again = rebuild(export(model, rows))
    assert widths(again) == widths(model)
    torch.testing.assert_close(again(rows), model(rows))


def ranked(*scores: float, step: int = 1, **more: Any) -> Candidates:
    return Candidates("channels", torch.tensor(scores, dtype=torch.float32), step=step, **more)


def test_the_least_important_go_wherever_they_are() -> None:
    groups = [ranked(5, 1, 6, 7), ranked(9, 2, 3, 8)]
    assert choose(groups, 0.25) == [[1], [1]]
    assert choose(groups, 0.375) == [[1], [1, 2]]


def test_what_remains_is_a_multiple_of_round_to() -> None:
    groups = [ranked(*range(10), step=4), ranked(*range(20, 36), step=4)]
    assert choose(groups, 0.1) == [[0, 1], []]  # 10 to 8; nothing of the dearer one
    assert choose(groups, 0.23) == [[0, 1], [0, 1, 2, 3]]


def test_half_of_a_bundle_stays_however_little_it_matters() -> None:
    assert choose([ranked(*[0.0] * 8), ranked(*[1.0] * 8)], 0.5) == [[0, 1, 2, 3], [0, 1, 2, 3]]


def test_one_step_is_taken_even_where_it_is_more_than_the_ratio() -> None:
    assert choose([ranked(*range(16), step=8)], 0.05) == [[0, 1, 2, 3, 4, 5, 6, 7]]


@pytest.mark.parametrize("groups", [[], [ranked(1, step=8)], [ranked(*range(8), step=8)]])
def test_nothing_goes_where_no_step_is_possible(groups: list[Candidates]) -> None:
    assert choose(groups, 0.5) == [[] for _ in groups]


@settings(max_examples=60, deadline=None)
@given(
    widths=st.lists(st.integers(2, 12).map(lambda n: 8 * n), min_size=2, max_size=8),
    ratio=st.floats(0.1, 0.4),
    round_to=st.sampled_from([1, 2, 4, 8]),
    seed=st.integers(0, 99),
)
def test_the_ratio_is_met_as_nearly_as_the_steps_allow(
    widths: list[int], ratio: float, round_to: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    groups = [Candidates("channels", torch.rand(width, generator=generator), step=round_to) for width in widths]
    chosen = choose(groups, ratio)
    left = [width - len(gone) for width, gone in zip(widths, chosen, strict=True)]
    assert all(rest % round_to == 0 and rest >= width / 2 for rest, width in zip(left, widths, strict=True))
    assert all(len(set(gone)) == len(gone) for gone in chosen)
    removed, target = sum(map(len, chosen)), ratio * sum(widths)
    assert removed == round_to or abs(removed - target) <= round_to / 2 + 1e-6

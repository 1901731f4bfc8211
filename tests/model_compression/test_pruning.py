"""Pruning of every kind of architecture, started from a registered program as the pipeline does."""

import json
from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_compression.errors import PruningError
from model_compression.intake import rebuild
from model_compression.pruning import Kind, Protected, parameters, protected_units, unit_scores, units_of
from model_compression.pruning.rounds import History, remove_units, replay
from tests.model_compression.intake.models import ARCHITECTURES, export, exported
from tests.model_compression.toys import untrained

ALL = pytest.mark.parametrize("name", ARCHITECTURES)
ROUND_TO = 4


def parent(name: str) -> nn.Module:
    return rebuild(exported(name)[1])


def prune(
    model: nn.Module,
    *rows: Tensor,
    ratio: float = 0.2,
    round_to: int = ROUND_TO,
    kinds: Sequence[Kind] = ("channels",),
    protected: Sequence[Protected] | None = None,
) -> History:
    """One round on labels made up for the purpose."""
    targets = torch.arange(len(rows[0])) % model(*rows).shape[1]
    units = units_of(model, rows, kinds, protected_units(model, rows, kinds) if protected is None else protected)
    scores = unit_scores(model, [(rows, targets)], F.cross_entropy, layers=units.layers)
    return remove_units(model, rows, units, scores, ratio, round_to=round_to)


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

    def test_channels_that_others_depend_on_are_kept(self) -> None:
        class Centred(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.first, self.last = nn.Conv2d(1, 8, 1), nn.Conv2d(8, 2, 1)

            def forward(self, x: Tensor) -> Tensor:
                x = self.first(x)
                return self.last(x - x.mean(1, keepdim=True))

        (kept, _) = sorted(
            protected_units(Centred(), (torch.randn(2, 1, 4, 4),), ("channels",)), key=lambda each: each.layer
        )
        assert kept.layer == "first"
        assert "changes what the model makes of the others" in kept.reason

    def test_channels_flattened_in_another_order_than_the_graph_believes_are_kept(self) -> None:
        class Permuted(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.first, self.last = nn.Conv2d(1, 8, 1), nn.Linear(8 * 9, 2)

            def forward(self, x: Tensor) -> Tensor:
                return self.last(self.first(x).permute(0, 2, 3, 1).flatten(1))

        found = {each.layer for each in protected_units(Permuted(), (torch.randn(2, 1, 3, 3),), ("channels",))}
        assert found == {"first", "last"}

    def test_a_layer_of_one_channel_is_kept(self) -> None:
        model = nn.Sequential(nn.Linear(3, 1), nn.Linear(1, 2))
        reasons = {each.layer: each.reason for each in protected_units(model, (torch.randn(2, 3),), ("channels",))}
        assert "only 1 channels" in reasons["0"]


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

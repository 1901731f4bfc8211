"""The ratio of a round: what it frees is what was asked for."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_compression.intake import rebuild
from model_compression.pruning import costs_of, parameters, protected_units, unit_scores, units_of
from model_compression.pruning.rounds import remove_units
from model_compression.pruning.structure import observe
from model_compression.settings import Kind
from tests.model_compression.architectures import ARCHITECTURES, export, exported
from tests.model_compression.pruning.structure.attention_models import MODELS, built


def _freed(model: torch.fx.GraphModule, rows: tuple[torch.Tensor, ...], kinds: tuple[Kind, ...], ratio: float) -> float:
    units = units_of(model, rows, kinds, protected_units(model, rows, kinds))
    targets = torch.arange(len(rows[0])) % model(*rows).shape[1]
    scores = unit_scores(model, [(rows, targets)], F.cross_entropy, layers=units.layers)
    before = parameters(model)
    remove_units(model, rows, units, scores, ratio, round_to=1, costs=costs_of(model, rows, "bytes"))
    assert observe(model, rows)
    return 1 - parameters(model) / before


@pytest.mark.parametrize("ratio", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("name", ["resnet", "mobilenet", "cnn"])
def test_channels_free_the_share_that_was_asked_for(name: str, ratio: float) -> None:
    model = rebuild(exported(name)[1])
    assert _freed(model, (ARCHITECTURES[name].rows,), ("channels",), ratio) == pytest.approx(ratio, rel=0.1)


@pytest.mark.parametrize("name", ["bert", "fused vit"])
def test_heads_and_channels_free_the_share_that_was_asked_for(name: str) -> None:
    model, rows = built(name), MODELS[name].rows
    assert _freed(model, rows, ("channels", "heads"), 0.3) == pytest.approx(0.3, rel=0.1)


class _Grouped(nn.Module):
    """A net whose channels go in groups of 8 or 16: one step frees up to a tenth of all parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 32, 3, padding=1), nn.Conv2d(32, 32, 3, padding=1)
        self.third, self.head = nn.Conv2d(32, 64, 3, padding=1), nn.Linear(64, 10)
        self.norms = nn.ModuleList(nn.GroupNorm(4, width) for width in (32, 32, 64))

    def forward(self, rows: Tensor) -> Tensor:
        first = torch.relu(self.norms[0](self.first(rows)))
        second = first + torch.relu(self.norms[1](self.second(first)))
        third: Tensor = torch.relu(self.norms[2](self.third(second)))
        head: Tensor = self.head(third.mean((2, 3)))
        return head


@pytest.mark.parametrize("ratio", [0.2, 0.3, 0.4, 0.5])
def test_smaller_steps_fill_what_a_large_step_would_miss(ratio: float) -> None:
    torch.manual_seed(0)
    rows = torch.randn(4, 1, 8, 8)
    model = rebuild(export(_Grouped().eval(), rows))
    assert _freed(model, (rows,), ("channels", "layers"), ratio) == pytest.approx(ratio, rel=0.1)


class _Split(nn.Module):
    """Parts of one layer that go their own ways, as in Res2Net: some of its channels weigh far more than others."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(1, 32, 3, padding=1), nn.Conv2d(32, 24, 1)
        self.parts = nn.ModuleList(nn.Conv2d(8, 8, 3, padding=1) for _ in range(3))
        self.head = nn.Linear(24, 10)

    def forward(self, rows: Tensor) -> Tensor:
        made = list(self.first(rows).chunk(4, 1))
        for place, part in enumerate(self.parts, 1):
            made[place] = torch.relu(part(made[place] + (made[place - 1] if place > 1 else 0)))
        head: Tensor = self.head(torch.relu(self.last(torch.cat(made, 1))).mean((2, 3)))
        return head


@pytest.mark.parametrize("ratio", [0.1, 0.2, 0.3, 0.4])
def test_channels_count_as_what_each_of_them_frees(ratio: float) -> None:
    torch.manual_seed(0)
    rows = torch.randn(4, 1, 8, 8)
    model = rebuild(export(_Split().eval(), rows))
    assert _freed(model, (rows,), ("channels",), ratio) == pytest.approx(ratio, rel=0.1)

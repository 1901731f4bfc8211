"""The ratio of a round: what it frees is what was asked for."""

import pytest
import torch
import torch.nn.functional as F

from model_compression.intake import rebuild
from model_compression.pruning import costs_of, parameters, protected_units, unit_scores, units_of
from model_compression.pruning.rounds import remove_units
from model_compression.pruning.structure import observe
from model_compression.settings import Kind
from tests.model_compression.architectures import ARCHITECTURES, exported
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

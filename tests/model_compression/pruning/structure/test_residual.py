"""Residual layers: found by the shape of the graph, and removed without a trace."""

import copy

import pytest
import torch
from torch import Tensor, nn

from model_compression.errors import PruningError
from model_compression.intake import rebuild
from model_compression.pruning import parameters
from model_compression.pruning.structure import observe, remove_residuals, residuals
from tests.model_compression.architectures import ARCHITECTURES, exported
from tests.model_compression.pruning.structure.attention_models import MODELS, built
from tests.model_compression.toys import untrained

LAYERS = {
    "torch encoder": ["encoder.layers.0", "encoder.layers.1", "encoder.layers.2"],
    "norms first": ["encoder.layers.0", "encoder.layers.1", "encoder.layers.2"],
    "time first": ["encoder.layers.0", "encoder.layers.1", "encoder.layers.2"],
    "padding mask": ["encoder.layers.0", "encoder.layers.1", "encoder.layers.2"],
    "fused vit": ["blocks.0", "blocks.1", "blocks.2"],
    "bert": ["layer.0", "layer.1", "layer.2"],
    "one attention": ["attention"],
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_an_attention_with_what_follows_it(name: str) -> None:
    model, rows = built(name), MODELS[name].rows
    assert [layer.name for layer in residuals(model, observe(model, rows))] == LAYERS[name]


@pytest.mark.parametrize("name", LAYERS)
def test_a_removed_layer_takes_its_weights_along(name: str) -> None:
    model, rows = built(name), MODELS[name].rows
    while layers := residuals(model, observe(model, rows)):
        inside = sum(weight.numel() for path in layers[0].modules for weight in model.get_submodule(path).parameters())
        before, shape = parameters(model), model(*rows).shape
        remove_residuals(model, [layers[0]])
        assert parameters(model) == before - inside
        assert model(*rows).shape == shape


def test_a_layer_that_adds_nothing_changes_nothing_when_it_goes() -> None:
    model, rows = built("norms first"), MODELS["norms first"].rows
    with torch.no_grad():
        for name in ("self_attn.out_proj", "linear2"):
            for weight in model.get_submodule(f"encoder.layers.1.{name}").parameters():
                weight.zero_()
    expected = model(*rows)
    remove_residuals(model, [residuals(model, observe(model, rows))[1]])
    torch.testing.assert_close(model(*rows), expected)


def test_in_a_resnet_only_what_keeps_its_shape_is_one() -> None:
    model, rows = rebuild(exported("resnet")[1]), (ARCHITECTURES["resnet"].rows,)
    assert [layer.name for layer in residuals(model, observe(model, rows))] == ["layer1.0"]


@pytest.mark.parametrize("name", ["cnn", "mlp", "signal"])
def test_a_plain_chain_has_none(name: str) -> None:
    model, rows = rebuild(exported(name)[1]), (ARCHITECTURES[name].rows,)
    assert residuals(model, observe(model, rows)) == []


class Tapped(nn.Module):
    """A model in which something outside the layer reads what the layer computes."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.inner, self.last = nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        inner = torch.relu(self.inner(x))
        return self.last(torch.cat([x + inner, inner], 1))


def test_what_is_read_from_outside_is_no_layer() -> None:
    rows = (torch.randn(3, 4),)
    model = untrained(Tapped(), *rows)
    assert residuals(model, observe(model, rows)) == []


def test_removing_one_that_is_tapped_says_so() -> None:
    model, rows = built("bert"), MODELS["bert"].rows
    layer = residuals(model, observe(model, rows))[0]
    inner = next(node for node in layer.nodes if node.target == "layer.0.up")
    last = next(node for node in model.graph.nodes if node.op == "output")
    with model.graph.inserting_before(last):
        extra = model.graph.call_function(torch.sum, (inner,))
        last.args = (model.graph.call_function(torch.add, (last.args[0], extra)),)
    with pytest.raises(PruningError, match=r"nothing outside layer.0 to read"):
        remove_residuals(model, [copy.copy(layer)])

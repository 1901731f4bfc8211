"""Attention heads: found however attention is written, and removed as if they were silent."""

import copy

import pytest
import torch
from torch import nn
from torch.fx import GraphModule

from model_compression.onnx_files import export_onnx
from model_compression.pruning import parameters
from model_compression.pruning.structure import Attention, attentions, channel_flow, observe, remove_heads
from tests.model_compression.pruning.structure.attention_models import MODELS, OneAttention, built
from tests.model_compression.toys import run, untrained

ALL = pytest.mark.parametrize("name", MODELS)


def found_in(model: GraphModule, name: str) -> list[Attention]:
    found, unknown = attentions(model, channel_flow(model, observe(model, MODELS[name].rows)))
    assert not unknown
    return found


def silenced(model: GraphModule, attention: Attention, gone: list[int]) -> GraphModule:
    """Copy a model and zero the weights that read some heads."""
    model = copy.deepcopy(model)
    columns = [column for number in gone for column in attention.heads[number].columns]
    with torch.no_grad():
        model.get_parameter(f"{attention.name}.weight")[:, columns] = 0
    return model


@ALL
def test_every_head_is_found_with_its_rows_and_columns(name: str) -> None:
    model = built(name)
    found = found_in(model, name)
    assert [len(attention.heads) for attention in found] == MODELS[name].heads
    for attention in found:
        columns = [column for head in attention.heads for column in head.columns]
        assert sorted(columns) == list(range(model.get_parameter(f"{attention.name}.weight").shape[1]))


@ALL
@pytest.mark.parametrize("gone", [[0], [1], [0, 2]], ids=str)
def test_what_is_left_answers_as_if_they_were_silent(name: str, gone: list[int]) -> None:
    model, rows = built(name), MODELS[name].rows
    if max(gone) >= MODELS[name].heads[0]:
        pytest.skip("it has fewer heads")
    for index, count in enumerate(MODELS[name].heads):
        found, _ = attentions(model, channel_flow(model, observe(model, rows)))
        attention = found[index if count - len(gone) > 1 else 0]
        expected, before = silenced(model, attention, gone)(*rows), model(*rows)
        weights = parameters(model)
        remove_heads(model, rows, attention.name, gone)
        torch.testing.assert_close(model(*rows), expected, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(before, expected, atol=1e-4)
        assert parameters(model) < weights
        if count - len(gone) > 1:
            assert len(found_in(model, name)[index].heads) == count - len(gone)
    assert model(*(row[:1] for row in rows)).shape[0] == 1


@pytest.mark.parametrize("name", ["padding mask", "fused vit", "bert", "grouped queries"])
def test_a_model_without_heads_trains_and_ships(name: str, tmp_path: object) -> None:
    model, rows = built(name), MODELS[name].rows
    for attention in found_in(model, name):
        remove_heads(model, rows, attention.name, [1])
    names = [f"input{index}" for index in range(len(rows))]
    path = export_onnx(model.eval(), rows, names, tmp_path / "model.onnx")  # type: ignore[operator]
    arrays = [row[:3].numpy() for row in rows]
    torch.testing.assert_close(torch.from_numpy(run(path, *arrays)), model(*(row[:3] for row in rows)).detach(),
                               rtol=1e-3, atol=1e-4)  # fmt: skip
    model.train()(*rows).sum().backward()
    assert all(weight.grad is not None for weight in model.parameters())


@pytest.mark.parametrize("gone", [[0, 1, 2, 3], [4], [-1]], ids=str)
def test_heads_that_are_not_there_or_all_of_them_are_refused(gone: list[int]) -> None:
    model, rows = built("bert"), MODELS["bert"].rows
    with pytest.raises(ValueError, match=r"expected some of the heads of layer.0.out, got .* 4 heads"):
        remove_heads(model, rows, "layer.0.out", gone)
    with pytest.raises(ValueError, match="no attention"):
        remove_heads(model, rows, "head", [0])


class Watched(OneAttention):
    """A model whose output includes what the heads compute."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        mixed = nn.functional.scaled_dot_product_attention(x[:, None], x[:, None], x[:, None])[:, 0]
        return self.last(mixed.mean(1)) + mixed.sum()


def test_attention_whose_heads_cannot_be_told_apart_says_why() -> None:
    rows = MODELS["one attention"].rows
    model = untrained(Watched(), *rows)
    found, unknown = attentions(model, channel_flow(model, observe(model, rows)))
    assert not found
    assert "as attention with one head does" in next(iter(unknown.values()))

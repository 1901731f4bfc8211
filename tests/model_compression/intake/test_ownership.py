"""Tied embeddings of a small language model: one table for the layer and for the operator that reads it."""

import pytest
import torch
from torch import Tensor, nn

from model_compression.intake import kept_as_they_are, load_into, rebuild


class LanguageModel(nn.Module):
    """Its output layer is its embedding table."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.body = nn.Embedding(50, 16), nn.Linear(16, 16)
        self.head = nn.Linear(16, 50, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(torch.relu(self.body(self.embedding(tokens).mean(1))))


@pytest.fixture(scope="module")
def tokens() -> Tensor:
    return torch.randint(50, (4, 6), generator=torch.Generator().manual_seed(0))


def test_a_tied_table_stays_one_tensor(tokens: Tensor) -> None:
    model = LanguageModel().eval()
    rebuilt = rebuild(torch.export.export(model, (tokens,), dynamic_shapes=({0: torch.export.Dim("batch")},)))
    assert torch.equal(rebuilt(tokens), model(tokens))
    assert sum(weight.numel() for weight in rebuilt.parameters()) == 50 * 16 + 16 * 16 + 16
    (kept,) = kept_as_they_are(rebuilt)
    assert (kept.operator, kept.shared) == ("linear", ("embedding.weight",))
    assert "800 weights, of which layers share embedding.weight" in str(kept)
    rebuilt(tokens).sum().backward()
    assert rebuilt.get_parameter("embedding.weight").grad is not None


def test_an_architecture_in_code_answers_the_same(tokens: Tensor) -> None:
    model = LanguageModel().eval()
    program = torch.export.export(model, (tokens,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    built = load_into(program, LanguageModel()).eval()
    assert torch.equal(built(tokens), model(tokens))
    assert built.get_parameter("head.weight") is built.get_parameter("embedding.weight")

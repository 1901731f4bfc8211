"""Tied embeddings of a small language model: refused with a remedy, and the remedy works."""

import pytest
import torch
from torch import Tensor, nn

from model_compression.errors import RebuildError
from model_compression.intake import load_into, rebuild


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


def test_tied_embeddings_are_named_with_the_way_out(tokens: Tensor) -> None:
    program = torch.export.export(LanguageModel().eval(), (tokens,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    with pytest.raises(RebuildError, match=r"shared between node .*embedding.* give the workload a build_model\(\)"):
        rebuild(program)


def test_the_way_out_answers_the_same(tokens: Tensor) -> None:
    model = LanguageModel().eval()
    program = torch.export.export(model, (tokens,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    built = load_into(program, LanguageModel()).eval()
    assert torch.equal(built(tokens), model(tokens))
    assert built.get_parameter("head.weight") is built.get_parameter("embedding.weight")

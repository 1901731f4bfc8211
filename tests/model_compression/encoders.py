"""A small encoder of text, built and exported as Hugging Face's BERT is, with random weights."""

import functools

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import GraphModule

from model_compression.intake import rebuild
from tests.model_compression.architectures import export

TOKENS, TIME, WIDTH, HEADS, CLASSES = 200, 16, 32, 4, 8
PADDING, UNKNOWN = 0, 100


class Embeddings(nn.Module):
    """Tokens, their positions and their kind; the last two are looked up by buffers."""

    position_ids: Tensor
    kinds: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(TOKENS, WIDTH, padding_idx=PADDING)
        self.positions = nn.Embedding(2 * TIME, WIDTH)
        self.token_types = nn.Embedding(2, WIDTH)
        self.register_buffer("position_ids", torch.arange(2 * TIME).unsqueeze(0), persistent=False)
        self.register_buffer("kinds", torch.zeros(1, 2 * TIME, dtype=torch.int64), persistent=False)
        self.norm = nn.LayerNorm(WIDTH, eps=1e-12)
        self.dropout = nn.Dropout(0.1)

    def forward(self, tokens: Tensor) -> Tensor:
        rows, time = tokens.shape
        places = self.position_ids[:, :time]
        kinds = torch.gather(self.kinds.expand(1, -1), 1, places).expand(rows, time)
        return self.dropout(self.norm(self.words(tokens) + self.token_types(kinds) + self.positions(places)))


class Layer(nn.Module):
    """Attention and a feed-forward part, each with a way around and a norm behind."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.widen, self.narrow = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)
        self.first, self.second = nn.LayerNorm(WIDTH, eps=1e-12), nn.LayerNorm(WIDTH, eps=1e-12)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        shape = (*x.shape[:-1], -1, WIDTH // HEADS)
        query, key, value = (part(x).view(shape).transpose(1, 2) for part in (self.query, self.key, self.value))
        seen = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=(WIDTH // HEADS) ** -0.5)
        seen = self.out(seen.transpose(1, 2).contiguous().reshape(*x.shape[:-1], -1))
        x = self.first(self.dropout(seen) + x)
        return self.second(self.dropout(self.narrow(F.gelu(self.widen(x)))) + x)


class SmallBert(nn.Module):
    """Two layers, a pooler on the first token, a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = Embeddings()
        self.layers = nn.ModuleList(Layer() for _ in range(2))
        self.pooler = nn.Linear(WIDTH, WIDTH)
        self.classifier = nn.Linear(WIDTH, CLASSES)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        columns = torch.arange(tokens.shape[1])
        row_numbers = torch.arange(mask.shape[0])[:, None, None, None]  # as transformers 5 writes a mask
        allowed = mask.to(torch.bool)[row_numbers, columns].expand(-1, -1, len(columns), -1)
        x = self.embeddings(tokens)
        for layer in self.layers:
            x = layer(x, allowed)
        return self.classifier(F.dropout(torch.tanh(self.pooler(x[:, 0])), 0.1, self.training))


def rows(count: int = 6, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Even tokens up to 120, of lengths that differ, and their mask."""
    generator = torch.Generator().manual_seed(seed)
    tokens = 2 * torch.randint(1, 60, (count, TIME), generator=generator)
    lengths = torch.randint(3, TIME + 1, (count, 1), generator=generator)
    mask = (torch.arange(TIME) < lengths).to(torch.int64)
    return tokens * mask, mask


@functools.cache
def small_bert() -> tuple[SmallBert, ExportedProgram]:
    """The module and its program."""
    torch.manual_seed(0)
    model = SmallBert().eval()
    return model, export(model, *rows())


def rebuilt() -> GraphModule:
    """A fresh module from the program alone."""
    return rebuild(small_bert()[1])

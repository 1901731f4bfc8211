"""Modules of code as teams write them: sizes in attributes, blocks that are called in a loop."""

import functools
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from model_compression.intake import rebuild
from tests.model_compression.architectures import SmallResNet, export
from tests.model_compression.pruning.structure.attention_models import TorchEncoder

WIDTH = 32


class SelfAttention(nn.Module):
    """As timm writes it: the number of heads and their size are attributes."""

    def __init__(self, heads: int, written: Literal["sizes", "numbers", "table"]) -> None:
        super().__init__()
        self.num_heads, self.head_dim, self.dim = heads, WIDTH // heads, WIDTH
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.written = written
        if written == "table":
            self.biases = nn.Parameter(torch.randn(heads, 1, 1) / 4)

    def forward(self, x: Tensor) -> Tensor:
        rows, tokens, _ = x.shape
        heads = 4 if self.written == "numbers" else self.num_heads
        q, k, v = self.qkv(x).reshape(rows, tokens, 3, heads, self.head_dim).permute(2, 0, 3, 1, 4).unbind(0)
        scores = (q @ k.transpose(-2, -1)) * self.head_dim**-0.5
        if self.written == "table":
            scores = scores * self.biases
        mixed = (scores.softmax(-1) @ v).transpose(1, 2)
        return self.proj(mixed.reshape(rows, tokens, self.num_heads * self.head_dim))


class VitBlock(nn.Module):
    """An attention and two linears, each in a residual; whole blocks are dropped at random in training."""

    def __init__(self, heads: int, written: Literal["sizes", "numbers", "table"]) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attn = SelfAttention(heads, written)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 64), nn.GELU(), nn.Dropout(0.1), nn.Linear(64, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._dropped(self.attn(self.norm1(x)))
        return x + self._dropped(self.mlp(self.norm2(x)))

    def _dropped(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        return x * (torch.rand(x.shape[0], 1, 1) > 0.1)


class CodeVit(nn.Module):
    def __init__(self, heads: int = 4, written: Literal["sizes", "numbers", "table"] = "sizes") -> None:
        super().__init__()
        self.patch = nn.Conv2d(1, WIDTH, 2, 2)
        self.start, self.place = nn.Parameter(torch.randn(1, 1, WIDTH)), nn.Parameter(torch.randn(1, 17, WIDTH))
        self.blocks = nn.ModuleList(VitBlock(heads, written) for _ in range(3))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.start.expand(x.shape[0], -1, -1), x], 1) + self.place
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


class BertSelfAttention(nn.Module):
    """As Hugging Face wrote it for years."""

    def __init__(self) -> None:
        super().__init__()
        self.num_attention_heads, self.attention_head_size = 4, WIDTH // 4
        self.all_head_size = self.num_attention_heads * self.attention_head_size
        self.query, self.key, self.value = (nn.Linear(WIDTH, self.all_head_size) for _ in range(3))
        self.dropout = nn.Dropout(0.1)

    def apart(self, x: Tensor) -> Tensor:
        x = x.view(*x.size()[:-1], self.num_attention_heads, self.attention_head_size)
        return x.permute(0, 2, 1, 3)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor | None = None) -> tuple[Tensor, ...]:
        q, k, v = (self.apart(layer(hidden_states)) for layer in (self.query, self.key, self.value))
        scores = torch.matmul(q, k.transpose(-1, -2)) / self.attention_head_size**0.5
        scores = scores if attention_mask is None else scores + attention_mask
        mixed = torch.matmul(self.dropout(scores.softmax(-1)), v).permute(0, 2, 1, 3).contiguous()
        return (mixed.view(*mixed.size()[:-2], self.all_head_size), scores)


class BertLayerOfCode(nn.Module):
    """It returns a tuple, as layers that may give their weights do."""

    def __init__(self) -> None:
        super().__init__()
        self.attention, self.dense = BertSelfAttention(), nn.Linear(WIDTH, WIDTH)
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 64), nn.Linear(64, WIDTH)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor | None = None) -> tuple[Tensor, None]:
        mixed = self.attention(hidden_states, attention_mask=attention_mask)[0]
        x = self.norm1(hidden_states + self.dense(mixed))
        return self.norm2(x + self.down(F.gelu(self.up(x)))), None


class CodeBert(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.token, self.place, self.norm = nn.Embedding(100, WIDTH), nn.Embedding(16, WIDTH), nn.LayerNorm(WIDTH)
        self.layer = nn.ModuleList(BertLayerOfCode() for _ in range(3))
        self.head = nn.Linear(WIDTH, 5)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        x = self.norm(self.token(tokens) + self.place(torch.arange(tokens.shape[1])))
        hidden = (1.0 - mask[:, None, None, :].float()) * -1e9
        for layer in self.layer:
            x, _ = layer(hidden_states=x, attention_mask=hidden)
        return self.head(x[:, 0])


class Residuals(nn.Module):
    """Residual sums in the model's own code, around blocks that are not residual themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(8, 16), nn.Linear(16, 3)
        self.ups, self.downs = (nn.ModuleList(nn.Linear(*sizes) for _ in range(3)) for sizes in ((16, 24), (24, 16)))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for up, down in zip(self.ups, self.downs, strict=True):
            x = x + down(up(x).relu())
        return self.last(x)


class Decoder(nn.Module):
    """torch's decoder layer: one input attends to itself and to another."""

    def __init__(self) -> None:
        super().__init__()
        self.own, self.other = nn.Linear(8, WIDTH), nn.Linear(6, WIDTH)
        self.decoder = nn.TransformerDecoderLayer(WIDTH, 4, 48, batch_first=True, norm_first=True)
        self.head = nn.Linear(WIDTH, 5)

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        return self.head(self.decoder(self.own(x), self.other(memory)).mean(1))


class Normed(nn.Module):
    """Weights that torch computes from others, in the new way and in the old one."""

    def __init__(self) -> None:
        super().__init__()
        self.first = parametrizations.weight_norm(nn.Conv2d(1, 12, 3, padding=1))
        self.second = parametrizations.spectral_norm(nn.Conv2d(12, 16, 3, padding=1))
        self.third = nn.utils.weight_norm(nn.Linear(16, 12))
        self.head = nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.first(x).relu()).relu().mean((2, 3))
        return self.head(self.third(x).relu())


class Counting(nn.Module):
    """It changes a tensor of its own while it runs, which no registered program may do."""

    calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))
        self.up, self.down = nn.Linear(8, 24), nn.Linear(24, 3)

    def forward(self, x: Tensor) -> Tensor:
        self.calls.add_(1)
        return self.down(self.up(x).relu()) + 0 * self.calls


class OfCode(NamedTuple):
    """A function that builds a module, example rows, and the number of classes."""

    build: Callable[[], nn.Module]
    rows: tuple[Tensor, ...]
    classes: int


def _seeded(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


_TOKENS = torch.randint(1, 100, (4, 12), generator=torch.Generator().manual_seed(0))

MODELS: dict[str, OfCode] = {
    "vit": OfCode(CodeVit, (_seeded(4, 1, 8, 8),), 10),
    "heads with biases": OfCode(lambda: CodeVit(8, "table"), (_seeded(4, 1, 8, 8),), 10),
    "torch encoder": OfCode(lambda: TorchEncoder(norm_first=True), (_TOKENS,), 5),
    "bert": OfCode(CodeBert, (_TOKENS, (_TOKENS > 20).long()), 5),
    "resnet": OfCode(SmallResNet, (_seeded(4, 1, 8, 8),), 10),
    "decoder": OfCode(Decoder, (_seeded(4, 7, 8), _seeded(4, 5, 6)), 5),
    "weight norms": OfCode(Normed, (_seeded(4, 1, 8, 8),), 10),
    "residuals": OfCode(Residuals, (_seeded(4, 8),), 3),
    "counting": OfCode(Counting, (_seeded(4, 8),), 3),
    "numbers in code": OfCode(lambda: CodeVit(4, "numbers"), (_seeded(4, 1, 8, 8),), 10),
}


@functools.cache
def _program(name: str) -> torch.export.ExportedProgram:
    return export(code(name), *MODELS[name].rows)


def code(name: str) -> nn.Module:
    """A module of code in evaluation mode, the same each time."""
    torch.manual_seed(0)
    return MODELS[name].build().eval()


def rebuilt(name: str) -> GraphModule:
    """The rebuilt program of the same module."""
    return rebuild(_program(name))

"""Small models with attention, written in the ways that people write them."""

import functools
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.export import Dim
from torch.fx import GraphModule
from torch.nn import functional as F

from model_compression.intake import rebuild
from tests.model_compression.pruning.structure.rotary_models import ByEinsum, Llama, NeoX, Window

WIDTH, HEADS = 32, 4
Written = Literal["fused", "sliced", "split", "products"]


class TorchEncoder(nn.Module):
    """torch's own encoder layers, with or without a padding mask."""

    def __init__(self, *, norm_first: bool = False, batch_first: bool = True, masked: bool = False) -> None:
        super().__init__()
        self.embed = nn.Embedding(100, WIDTH)
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 64, 0.1, norm_first=norm_first, batch_first=batch_first)
        self.encoder = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
        self.head = nn.Linear(WIDTH, 5)
        self.batch_first, self.masked = batch_first, masked

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        padding = tokens == 0 if self.masked else None
        x = self.encoder(x if self.batch_first else x.transpose(0, 1), src_key_padding_mask=padding)
        return self.head(x.mean(1 if self.batch_first else 0))


class OneAttention(nn.Module):
    """nn.MultiheadAttention between linears; with weights asked for it takes another path."""

    def __init__(self, *, need_weights: bool = False) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(8, WIDTH), nn.Linear(WIDTH, 5)
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.need_weights = need_weights

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        attended, _ = self.attention(x, x, x, need_weights=self.need_weights)
        return self.last((x + attended).mean(1))


class Block(nn.Module):
    """A vision transformer's layer; queries, keys and values come from one linear."""

    def __init__(self, written: Written) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 64), nn.Linear(64, WIDTH)
        self.written = written

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.proj(self.attend(self.qkv(self.norm1(x))))
        return x + self.down(F.gelu(self.up(self.norm2(x))))

    def attend(self, qkv: Tensor) -> Tensor:
        rows, tokens, _ = qkv.shape
        if self.written in ("fused", "products"):
            q, k, v = qkv.reshape(rows, tokens, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4).unbind(0)
        else:
            parts = (
                qkv.split(WIDTH, -1)
                if self.written == "split"
                else [qkv[..., start : start + WIDTH] for start in (0, WIDTH, 2 * WIDTH)]
            )
            q, k, v = (part.view(rows, tokens, HEADS, WIDTH // HEADS).transpose(1, 2) for part in parts)
        if self.written == "products":
            mixed = ((q @ k.transpose(-2, -1)) * (WIDTH // HEADS) ** -0.5).softmax(-1) @ v
        else:
            mixed = F.scaled_dot_product_attention(q, k, v)
        return mixed.transpose(1, 2).reshape(rows, tokens, WIDTH)


class Vit(nn.Module):
    def __init__(self, written: Written) -> None:
        super().__init__()
        self.patch = nn.Conv2d(1, WIDTH, 2, 2)
        self.start, self.place = nn.Parameter(torch.randn(1, 1, WIDTH)), nn.Parameter(torch.randn(1, 17, WIDTH))
        self.blocks = nn.ModuleList(Block(written) for _ in range(3))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.start.expand(x.shape[0], -1, -1), x], 1) + self.place
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


class BertLayer(nn.Module):
    """As Hugging Face writes it: three linears, norms behind the sums; products by hand, or fewer heads for keys."""

    def __init__(self, *, by_hand: bool, groups: int) -> None:
        super().__init__()
        size = WIDTH // HEADS
        self.query, self.out = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.key, self.value = nn.Linear(WIDTH, groups * size), nn.Linear(WIDTH, groups * size)
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.up, self.down, self.drop = nn.Linear(WIDTH, 64), nn.Linear(64, WIDTH), nn.Dropout(0.1)
        self.by_hand, self.groups = by_hand, groups

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        q, k, v = (self.apart(layer(x)) for layer in (self.query, self.key, self.value))
        if self.by_hand:
            scores = torch.matmul(q, k.transpose(-1, -2)) / (WIDTH // HEADS) ** 0.5 + mask
            mixed = torch.matmul(self.drop(scores.softmax(-1)), v)
        else:
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        mixed = mixed.transpose(1, 2).contiguous().reshape(*x.shape[:-1], -1)
        x = self.norm1(x + self.drop(self.out(mixed)))
        return self.norm2(x + self.drop(self.down(F.gelu(self.up(x)))))

    def apart(self, x: Tensor) -> Tensor:
        x = x.view(*x.shape[:-1], -1, WIDTH // HEADS).transpose(1, 2)
        if x.shape[1] == HEADS:
            return x
        rows, groups, tokens, size = x.shape
        x = x[:, :, None].expand(rows, groups, HEADS // self.groups, tokens, size)
        return x.reshape(rows, HEADS, tokens, size)


class Bert(nn.Module):
    def __init__(self, *, by_hand: bool = False, groups: int = HEADS) -> None:
        super().__init__()
        self.token, self.place, self.norm = nn.Embedding(100, WIDTH), nn.Embedding(16, WIDTH), nn.LayerNorm(WIDTH)
        self.layer = nn.ModuleList(BertLayer(by_hand=by_hand, groups=groups) for _ in range(3))
        self.head = nn.Linear(WIDTH, 5)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        x = self.norm(self.token(tokens) + self.place(torch.arange(tokens.shape[1])))
        hidden = (1.0 - mask[:, None, None, :].float()) * -1e9
        for layer in self.layer:
            x = layer(x, hidden)
        return self.head(x[:, 0])


class WithAttention(NamedTuple):
    """A function that builds a model, its rows, and the number of heads of each of its attentions."""

    build: Callable[[], nn.Module]
    rows: tuple[Tensor, ...]
    heads: list[int]


def _tokens() -> Tensor:
    tokens = torch.randint(1, 100, (4, 12), generator=torch.Generator().manual_seed(0))
    tokens[1:, 9:] = 0
    return tokens


_TOKENS = _tokens()
_MASKED = (_TOKENS, (_TOKENS != 0).long())
_IMAGES = (torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0)),)
_FEATURES = (torch.randn(4, 12, 24, generator=torch.Generator().manual_seed(0)),)
_SIGNALS = (torch.randn(4, 12, 8, generator=torch.Generator().manual_seed(0)),)

MODELS: dict[str, WithAttention] = {
    "torch encoder": WithAttention(TorchEncoder, (_TOKENS,), [4] * 3),
    "norms first": WithAttention(lambda: TorchEncoder(norm_first=True), (_TOKENS,), [4] * 3),
    "time first": WithAttention(lambda: TorchEncoder(batch_first=False), (_TOKENS,), [4] * 3),
    "padding mask": WithAttention(lambda: TorchEncoder(masked=True), (_TOKENS,), [4] * 3),
    "one attention": WithAttention(OneAttention, _SIGNALS, [4]),
    "with weights": WithAttention(lambda: OneAttention(need_weights=True), _SIGNALS, [4]),
    "fused vit": WithAttention(lambda: Vit("fused"), _IMAGES, [4] * 3),
    "sliced vit": WithAttention(lambda: Vit("sliced"), _IMAGES, [4] * 3),
    "split vit": WithAttention(lambda: Vit("split"), _IMAGES, [4] * 3),
    "vit by products": WithAttention(lambda: Vit("products"), _IMAGES, [4] * 3),
    "bert": WithAttention(Bert, _MASKED, [4] * 3),
    "bert by hand": WithAttention(lambda: Bert(by_hand=True), _MASKED, [4] * 3),
    "grouped queries": WithAttention(lambda: Bert(groups=2), _MASKED, [2] * 3),
    "einsum": WithAttention(ByEinsum, _FEATURES, [4]),
    "llama": WithAttention(lambda: Llama("halves"), _FEATURES, [2]),
    "interleaved rotary": WithAttention(lambda: Llama("pairs", groups=4), _FEATURES, [4]),
    "complex rotary": WithAttention(lambda: Llama("complex", groups=4), _FEATURES, [4]),
    "neox": WithAttention(NeoX, _FEATURES, [4]),
    "window": WithAttention(Window, _FEATURES, [4]),
}


@functools.cache
def _program(name: str) -> torch.export.ExportedProgram:
    torch.manual_seed(0)
    model, rows, _ = MODELS[name].build().eval(), MODELS[name].rows, None
    shapes = tuple({0: Dim("batch")} for _ in rows)
    return torch.export.export(model, rows, dynamic_shapes=shapes, strict=False)


def built(name: str) -> GraphModule:
    """A model as intake gives it."""
    return rebuild(_program(name))

"""Small models whose attention is written with einsum, rotary embeddings, norms of heads, biases and shared keys."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIZE, WIDTH = 6, 24
Written = Literal["einsum", "halves", "pairs", "complex", "fused", "window"]


def _angles(tokens: int, size: int) -> Tensor:
    return torch.arange(tokens)[:, None] / 10.0 ** torch.arange(size // 2)


def rotated_halves(x: Tensor) -> Tensor:
    """Turn pairs of features that are half a head apart, as Llama does; x is (rows, heads, tokens, size)."""
    angles = torch.cat([_angles(x.shape[2], x.shape[3])] * 2, -1)
    first, second = x.chunk(2, -1)
    return x * angles.cos() + torch.cat([-second, first], -1) * angles.sin()


def rotated_pairs(x: Tensor) -> Tensor:
    """Turn pairs of neighbouring features, by strided slices."""
    angles = _angles(x.shape[2], x.shape[3])
    first, second = x[..., ::2], x[..., 1::2]
    turned = (first * angles.cos() - second * angles.sin(), first * angles.sin() + second * angles.cos())
    return torch.stack(turned, -1).flatten(-2)


def rotated_complex(x: Tensor) -> Tensor:
    """Turn pairs of neighbouring features as complex numbers."""
    angles = _angles(x.shape[2], x.shape[3])
    turned = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2)) * torch.polar(torch.ones_like(angles), angles)
    return torch.view_as_real(turned).flatten(3)


class _Attending(nn.Module):
    def __init__(self, heads: int, groups: int) -> None:
        super().__init__()
        self.query, self.out = nn.Linear(WIDTH, heads * SIZE), nn.Linear(heads * SIZE, WIDTH)
        self.key, self.value = nn.Linear(WIDTH, groups * SIZE), nn.Linear(WIDTH, groups * SIZE)
        self.head = nn.Linear(WIDTH, 5)

    def apart(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], -1, SIZE).transpose(1, 2)


class ByEinsum(_Attending):
    """Attention by einsum, with a learned scale for each head."""

    def __init__(self) -> None:
        super().__init__(4, 4)
        self.scales = nn.Parameter(torch.rand(4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (layer(x).view(*x.shape[:2], 4, SIZE) for layer in (self.query, self.key, self.value))
        shares = (torch.einsum("bihd,bjhd->bhij", q, k) * self.scales).softmax(-1)
        mixed = torch.einsum("bhij, bjhd -> bihd", shares, v)
        return self.head((x + self.out(mixed.reshape(*x.shape[:2], -1))).mean(1))


class Llama(_Attending):
    """Rotary queries and keys, keys and values shared by groups of heads, and a causal mask."""

    def __init__(self, turn: Written, groups: int = 2) -> None:
        super().__init__(4, groups)
        self.turn = {"halves": rotated_halves, "pairs": rotated_pairs, "complex": rotated_complex}[turn]
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (self.apart(layer(x)) for layer in (self.query, self.key, self.value))
        q, k = self.turn(q), self.turn(k)
        k, v = (self.repeated(each) for each in (k, v))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.head((x + self.out(mixed.transpose(1, 2).reshape(*x.shape[:2], -1))).mean(1))

    def repeated(self, x: Tensor) -> Tensor:
        rows, groups, tokens, size = x.shape
        x = x[:, :, None, :, :].expand(rows, groups, 4 // self.groups, tokens, size)
        return x.reshape(rows, 4, tokens, size)


class NeoX(nn.Module):
    """Queries, keys and values of one layer head by head; a third of each head is turned."""

    bias: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.fused, self.out, self.head = nn.Linear(WIDTH, 12 * SIZE), nn.Linear(4 * SIZE, WIDTH), nn.Linear(WIDTH, 5)
        self.register_buffer("bias", torch.tril(torch.ones(16, 16, dtype=torch.bool)).view(1, 1, 16, 16))

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.shape[1]
        q, k, v = self.fused(x).view(*x.shape[:2], 4, 3 * SIZE).transpose(1, 2).chunk(3, -1)
        q, k = (torch.cat([rotated_halves(each[..., :2]), each[..., 2:]], -1) for each in (q, k))
        scores = torch.matmul(q, k.transpose(-1, -2)) * SIZE**-0.5
        scores = torch.where(self.bias[:, :, :tokens, :tokens], scores, torch.finfo(scores.dtype).min)
        mixed = torch.matmul(scores.softmax(-1), v).permute(0, 2, 1, 3).contiguous()
        return self.head((x + self.out(mixed.view(*x.shape[:2], -1))).mean(1))


class Window(nn.Module):
    """Normalized queries and keys, a table of biases by relative place, and a mask that is spread over heads."""

    place: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out, self.head = nn.Linear(WIDTH, 12 * SIZE), nn.Linear(4 * SIZE, WIDTH), nn.Linear(WIDTH, 5)
        self.norm, self.table = nn.LayerNorm(SIZE), nn.Parameter(torch.randn(23, 4))
        self.register_buffer("place", (torch.arange(12)[:, None] - torch.arange(12) + 11).view(-1))

    def forward(self, x: Tensor) -> Tensor:
        rows, tokens, _ = x.shape
        q, k, v = self.qkv(x).reshape(rows, tokens, 3, 4, SIZE).permute(2, 0, 3, 1, 4).unbind(0)
        q, k = self.norm(q), F.normalize(k, dim=-1)
        bias = self.table[self.place].view(tokens, tokens, 4).permute(2, 0, 1).contiguous()
        mask = torch.tril(torch.ones(tokens, tokens)).log()
        mask = mask.view(1, 1, tokens, tokens).expand(rows, 4, -1, -1)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.unsqueeze(0) + mask)
        return self.head((x + self.out(mixed.transpose(1, 2).reshape(rows, tokens, -1))).mean(1))

"""Small models that write channels down in every way that authors have: shuffles, halves, gates, pairs, loops."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class _Shuffled(nn.Module):
    """A unit of ShuffleNet V2: one half passes, the other is computed, and a shuffle joins them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 16, 3, padding=1)
        self.branches = nn.ModuleList(nn.Sequential(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8), nn.ReLU()) for _ in range(2))
        self.head = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for branch in self.branches:
            kept, other = x.chunk(2, 1)
            x = torch.cat([kept, branch(other)], 1)
            rows, channels, *places = x.shape
            x = x.view(rows, 2, channels // 2, *places).transpose(1, 2).reshape(rows, channels, *places)
        return self.head(x.mean((2, 3)))


class _Interleaved(nn.Module):
    """Halves that are interleaved: every second channel gates its neighbour."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv1d(2, 12, 3), nn.Conv1d(6, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.second(x[:, ::2] * x[:, 1::2].sigmoid()).mean(2)


class _Gated(nn.Module):
    """A gated unit in one layer, and one in two layers, as language models have them."""

    def __init__(self) -> None:
        super().__init__()
        self.both, self.gate, self.up = nn.Linear(4, 20), nn.Linear(10, 14), nn.Linear(10, 14)
        self.down = nn.Linear(14, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.glu(self.both(x), -1)
        return self.down(F.silu(self.gate(x)) * self.up(x))


class _SplitAndRead(nn.Module):
    """Halves of one layer that go their own ways, as detectors have them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.left, self.last = nn.Conv2d(1, 12, 1), nn.Conv2d(6, 5, 3, padding=1), nn.Conv2d(17, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        one, other = self.first(x).split((6, 6), 1)
        return self.last(torch.cat([one, other, self.left(other)], 1)).amax((2, 3))


class _Upscaled(nn.Module):
    """A pixel shuffle, a transposed convolution, a squeeze-excite and repeated channels."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.up = nn.Conv2d(1, 24, 1), nn.ConvTranspose2d(6, 8, 2, stride=2)
        self.squeeze, self.excite, self.last = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1), nn.Conv2d(16, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.up(F.pixel_shuffle(self.first(x), 2))
        x = x * self.excite(self.squeeze(x.mean((2, 3), keepdim=True)).relu()).sigmoid()
        return self.last(F.pad(x, (1, 0, 1, 0)).repeat(1, 2, 1, 1)).mean((2, 3))


class _Grouped(nn.Module):
    """Grouped and depthwise convolutions around a group norm, with a shift of places."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.grouped = nn.Conv2d(1, 12, 1), nn.Conv2d(12, 16, 3, padding=1, groups=4)
        self.norm, self.depthwise = nn.BatchNorm2d(16), nn.Conv2d(16, 32, 3, padding=1, groups=16)
        self.last = nn.Linear(32, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.roll(self.norm(self.grouped(self.first(x))), 1, 2)
        return self.last(self.depthwise(x).flatten(2).mean(2))


class _Positions(nn.Module):
    """Patches with a class token, positions and a scale, all bare parameters, then a merge of neighbours."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 10, 2, stride=2)
        self.token, self.positions = nn.Parameter(torch.randn(1, 1, 10)), nn.Parameter(torch.randn(1, 4, 10))
        self.scale, self.merge, self.head = nn.Parameter(torch.randn(10)), nn.Linear(20, 7), nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)[:, :3]
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.positions
        x = x * self.scale
        return self.head(self.merge(torch.cat([x[:, 0::2], x[:, 1::2]], -1)).relu().mean(1))


class _Recurrent(nn.Module):
    """A convolution before a recurrent layer: what the layer reads stays, what comes after it can go."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.before = nn.Conv1d(2, 8, 3), nn.Conv1d(8, 6, 1)
        self.cells, self.hidden, self.head = nn.GRU(6, 5, batch_first=True), nn.Linear(5, 9), nn.Linear(9, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.before(self.first(x).relu()).transpose(1, 2)
        return self.head(self.hidden(self.cells(x)[0][:, -1]).relu())


class _Rotated(nn.Module):
    """Attention with a rotary embedding, by which torch-pruning's walk does not end."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(12, 12) for _ in range(3))
        self.out, self.wide, self.head = nn.Linear(12, 12), nn.Linear(12, 20), nn.Linear(20, 3)

    def _turn(self, x: Tensor) -> Tensor:
        x = x.view(*x.shape[:2], 2, 6).transpose(1, 2)
        angles = torch.arange(x.shape[2])[:, None] / 10.0 ** torch.arange(3)
        angles = torch.cat([angles, angles], -1)
        return x * angles.cos() + torch.cat([-x[..., 3:], x[..., :3]], -1) * angles.sin()

    def forward(self, x: Tensor) -> Tensor:
        value = self.value(x).view(*x.shape[:2], 2, 6).transpose(1, 2)
        x = F.scaled_dot_product_attention(self._turn(self.query(x)), self._turn(self.key(x)), value)
        x = self.out(x.transpose(1, 2).flatten(2))
        return self.head(self.wide(x).relu().mean(1))


class _Largest(nn.Module):
    """Largest values by operators that give their places too: over pieces of a unit, over halves, and over time."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces, self.halves = nn.Conv1d(2, 15, 3), nn.Conv1d(5, 12, 1)
        self.last, self.head = nn.Linear(6, 9), nn.Linear(9 + 2 * 9 + 9, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pieces(x)
        x = self.halves(x.view(len(x), 5, 3, -1).max(2)[0])
        x = self.last(torch.max(x[:, :6], x[:, 6:]).transpose(1, 2))
        pooled = F.adaptive_max_pool1d(x.transpose(1, 2), 1).squeeze(2)
        return self.head(torch.cat([x.max(dim=1).values, x.topk(2, dim=1)[0].flatten(1), pooled], 1))


class Model(NamedTuple):
    """A model, its rows, and the units and channels of one unit of the layers that can lose any."""

    build: Callable[[], nn.Module]
    rows: Tensor
    units: dict[str, tuple[int, int]]


IMAGES, SIGNALS = torch.randn(3, 1, 4, 4), torch.randn(3, 2, 7)
MODELS = {
    "shuffled": Model(_Shuffled, IMAGES, {"stem": (16, 2)}),
    "interleaved": Model(_Interleaved, SIGNALS, {"first": (6, 2)}),
    "gated": Model(_Gated, torch.randn(3, 4), {"both": (10, 2), "gate": (14, 1)}),
    "split": Model(_SplitAndRead, IMAGES, {"first": (12, 1), "left": (5, 1)}),
    "upscaled": Model(_Upscaled, IMAGES, {"first": (6, 4), "up": (8, 1), "squeeze": (4, 1)}),
    "grouped": Model(_Grouped, IMAGES, {"first": (3, 4), "grouped": (4, 8)}),
    "positions": Model(_Positions, IMAGES, {"patches": (10, 1), "merge": (7, 1)}),
    "recurrent": Model(_Recurrent, SIGNALS, {"first": (8, 1), "hidden": (9, 1)}),
    "largest": Model(_Largest, SIGNALS, {"pieces": (5, 3), "halves": (6, 2), "last": (9, 1)}),
    "rotated": Model(_Rotated, torch.randn(3, 5, 12), {"value": (2, 6), "out": (12, 1), "wide": (20, 1)}),
}

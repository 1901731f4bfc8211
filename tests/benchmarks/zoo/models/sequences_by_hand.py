"""Architectures on series, words and tables as people write them by hand: recurrent, gated, rotary, by einsum."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.benchmarks.zoo.data import LENGTH, WORDS
from tests.benchmarks.zoo.models.entry import Entry

CLASSES, SENSORS, WIDTH = 4, 6, 64


class _Recurrent(nn.Module):
    """A recurrent layer whose last state is classified."""

    def __init__(self, layer: Callable[..., nn.Module], *, both_ways: bool = False, layers: int = 1) -> None:
        super().__init__()
        self.layer = layer(SENSORS, WIDTH, layers, batch_first=True, bidirectional=both_ways)
        self.head = nn.Sequential(nn.Linear((1 + both_ways) * WIDTH, 32), nn.ReLU(), nn.Linear(32, CLASSES))

    def forward(self, rows: Tensor) -> Tensor:
        return self.head(self.layer(rows)[0][:, -1])


class _ConvLstm(nn.Module):
    """Convolutions over time before an LSTM."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv1d(SENSORS, 32, 5, 2, 2), nn.BatchNorm1d(32), nn.ReLU())
        self.layer, self.head = nn.LSTM(32, WIDTH, batch_first=True), nn.Linear(WIDTH, CLASSES)

    def forward(self, rows: Tensor) -> Tensor:
        return self.head(self.layer(self.conv(rows.transpose(1, 2)).transpose(1, 2))[0].mean(1))


class _Causal(nn.Module):
    """A residual block of a temporal convolutional network."""

    def __init__(self, width: int, rate: int) -> None:
        super().__init__()
        self.rate = rate
        self.first, self.second = (nn.Conv1d(width, width, 3, dilation=rate) for _ in range(2))

    def forward(self, rows: Tensor) -> Tensor:
        seen = F.relu(self.first(F.pad(rows, (2 * self.rate, 0))))
        return F.relu(rows + self.second(F.pad(seen, (2 * self.rate, 0))))


class _Tcn(nn.Module):
    """A temporal convolutional network."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv1d(SENSORS, 32, 1), *(_Causal(32, 2**step) for step in range(3)))
        self.head = nn.Linear(32, CLASSES)

    def forward(self, rows: Tensor) -> Tensor:
        return self.head(self.body(rows.transpose(1, 2))[:, :, -1])


def _rotated(rows: Tensor) -> Tensor:
    """Turn pairs of numbers by angles that grow with the place."""
    places, size = rows.shape[-2], rows.shape[-1]
    speeds = 10000.0 ** (-torch.arange(0, size, 2, dtype=rows.dtype) / size)
    angles = torch.outer(torch.arange(places, dtype=rows.dtype), speeds).repeat(1, 2)
    left, right = rows.chunk(2, -1)
    return rows * angles.cos() + torch.cat([-right, left], -1) * angles.sin()


class _RotaryLayer(nn.Module):
    """A layer of a transformer with rotary places and a gated feed-forward part."""

    def __init__(self, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.asked, self.known, self.told, self.out = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(4))
        self.gate, self.up, self.down = nn.Linear(WIDTH, 128), nn.Linear(WIDTH, 128), nn.Linear(128, WIDTH)
        self.first, self.second = nn.RMSNorm(WIDTH), nn.RMSNorm(WIDTH)

    def _split(self, rows: Tensor) -> Tensor:
        return rows.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, rows: Tensor) -> Tensor:
        seen = self.first(rows)
        asked, known = (_rotated(self._split(layer(seen))) for layer in (self.asked, self.known))
        told = F.scaled_dot_product_attention(asked, known, self._split(self.told(seen)))
        rows = rows + self.out(told.transpose(1, 2).flatten(2))
        seen = self.second(rows)
        return rows + self.down(F.silu(self.gate(seen)) * self.up(seen))


class _EinsumLayer(nn.Module):
    """Attention written with einsum and a softmax."""

    def __init__(self, heads: int = 4) -> None:
        super().__init__()
        self.heads, self.norm = heads, nn.LayerNorm(WIDTH)
        self.asked, self.known, self.told, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, rows: Tensor) -> Tensor:
        seen = self.norm(rows)
        asked, known, told = (
            layer(seen).unflatten(-1, (self.heads, -1)) for layer in (self.asked, self.known, self.told)
        )
        weights = torch.einsum("bihd,bjhd->bhij", asked, known).div(asked.shape[-1] ** 0.5).softmax(-1)
        return rows + self.out(torch.einsum("bhij,bjhd->bihd", weights, told).flatten(2))


class _Words(nn.Module):
    """Words through layers, averaged and classified."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.table, self.layers, self.head = (
            nn.Embedding(WORDS, WIDTH),
            nn.Sequential(*layers),
            nn.Linear(WIDTH, CLASSES),
        )
        self.places = nn.Parameter(torch.randn(LENGTH, WIDTH) / 10)

    def forward(self, words: Tensor) -> Tensor:
        return self.head(self.layers(self.table(words) + self.places).mean(1))


class _Bag(nn.Module):
    """A bag of words."""

    def __init__(self) -> None:
        super().__init__()
        self.bag = nn.EmbeddingBag(WORDS, WIDTH)
        self.head = nn.Sequential(nn.Linear(WIDTH, 64), nn.ReLU(), nn.Linear(64, CLASSES))

    def forward(self, words: Tensor) -> Tensor:
        return self.head(self.bag(words))


class _BareProducts(nn.Module):
    """Layers without modules: rows times parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Parameter(torch.randn(10, 64) / 3), nn.Parameter(torch.randn(64, 32) / 8)
        self.shift, self.head = nn.Parameter(torch.zeros(32)), nn.Linear(32, 1)

    def forward(self, rows: Tensor) -> Tensor:
        return self.head(torch.addmm(self.shift, F.relu(rows @ self.first), self.second).relu())


def _torch_transformer() -> nn.Module:
    layer = nn.TransformerEncoderLayer(WIDTH, 4, 128, 0.0, batch_first=True)
    return _Words(nn.TransformerEncoder(layer, 2, enable_nested_tensor=False))


SEQUENCES = (
    Entry("lstm", "by hand", "series", lambda: _Recurrent(nn.LSTM)),
    Entry("gru", "by hand", "series", lambda: _Recurrent(nn.GRU)),
    Entry("bi_lstm", "by hand", "series", lambda: _Recurrent(nn.LSTM, both_ways=True)),
    Entry("deep_gru", "by hand", "series", lambda: _Recurrent(nn.GRU, layers=2)),
    Entry("conv_lstm", "by hand", "series", _ConvLstm),
    Entry("tcn", "by hand", "series", _Tcn),
    Entry("rotary_swiglu", "by hand", "tokens", lambda: _Words(_RotaryLayer(), _RotaryLayer())),
    Entry("einsum_attention", "by hand", "tokens", lambda: _Words(_EinsumLayer(), _EinsumLayer())),
    Entry("torch_transformer", "by hand", "tokens", _torch_transformer),
    Entry("embedding_bag", "by hand", "tokens", _Bag),
    Entry("mlp_regression", "by hand", "table", lambda: nn.Sequential(
        nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1))),
    Entry("bare_products", "by hand", "table", _BareProducts),
)  # fmt: skip

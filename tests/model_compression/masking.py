"""Small encoders that mask their padding in many ways, trained to find a token where the padding holds false ones."""

import copy
import functools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.fx import GraphModule

from model_compression.intake import rebuild
from model_compression.training import fine_tune
from tests.model_compression.architectures import export
from tests.model_compression.toys import SETTINGS

TIME, WIDTH, HEADS, TOKENS, CLASSES = 12, 32, 4, 60, 5
LOWEST = torch.finfo(torch.float32).min
INFINITE = float("-inf")
Masking = Callable[[Tensor, Tensor], Tensor]
"""A function of scores, shape (rows, heads, time, time), and a mask, shape (rows, 1, 1, time), 1 where a token is."""


def added(value: float) -> Masking:
    return lambda scores, mask: scores + (1.0 - mask.float()) * value


def filled(value: float) -> Masking:
    return lambda scores, mask: scores.masked_fill(mask == 0, value)


def chosen(value: float) -> Masking:
    return lambda scores, mask: torch.where(mask.bool(), scores, torch.full_like(scores, value))


def logarithm(scores: Tensor, mask: Tensor) -> Tensor:
    return scores + mask.float().log()


WAYS: dict[str, Masking] = {
    "add -1e4": added(-1e4),
    "add -1e9": added(-1e9),
    "add the lowest": added(LOWEST),
    "add -100": added(-100.0),
    "fill -1e9": filled(-1e9),
    "fill the lowest": filled(LOWEST),
    "fill -inf": filled(INFINITE),
    "where -1e9": chosen(-1e9),
    "log": logarithm,
}
FUSED: dict[str, Callable[[Tensor], Tensor]] = {
    "fused, bool": lambda mask: mask.bool(),
    "fused, -1e9": lambda mask: (1.0 - mask.float()) * -1e9,
    "fused, -inf": lambda mask: torch.zeros_like(mask, dtype=torch.float32).masked_fill(mask == 0, INFINITE),
}
OTHERS = ("constant -inf", "maximum")
SAME = "add -1e9"
ALL = (*WAYS, *FUSED, *OTHERS)


class Attention(nn.Module):
    """An attention and a feed-forward part."""

    never: Tensor

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way
        self.query, self.key, self.value, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.wide, self.narrow = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)
        self.first, self.second = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        # no token looks at the one behind it
        self.register_buffer("never", torch.diag(torch.full((TIME - 1,), INFINITE), 1))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        shape = (x.shape[0], TIME, HEADS, WIDTH // HEADS)
        query, key, value = (part(x).view(shape).transpose(1, 2) for part in (self.query, self.key, self.value))
        if self.way in FUSED:
            seen = F.scaled_dot_product_attention(query, key, value, attn_mask=FUSED[self.way](mask))
        else:
            scores = query @ key.transpose(-1, -2) / (WIDTH // HEADS) ** 0.5
            scores = scores + self.never if self.way == "constant -inf" else scores
            seen = WAYS.get(self.way, WAYS["add -1e9"])(scores, mask).softmax(-1) @ value
        x = self.first(x + self.out(seen.transpose(1, 2).reshape(x.shape)))
        return self.second(x + self.narrow(F.gelu(self.wide(x))))


class Finder(nn.Module):
    """One attention over tokens and positions that are counted in the graph, and a classifier."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way
        self.words, self.positions = nn.Embedding(TOKENS, WIDTH), nn.Embedding(2 * TIME, WIDTH)
        self.attention, self.head = Attention(way), nn.Linear(WIDTH, CLASSES)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        x = self.words(tokens) + self.positions(torch.cumsum(mask, 1) * mask)
        x = self.attention(x, mask[:, None, None, :])
        shown = mask[:, :, None]
        if self.way == "maximum":
            return self.head(x.masked_fill(shown == 0, -1e9).amax(1))
        return self.head((x * shown).sum(1) / shown.sum(1))


def rows(count: int, seed: int) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Tokens and their mask, and the class of the one token below CLASSES that is no padding."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(CLASSES, TOKENS, (count, TIME), generator=generator)
    lengths = torch.randint(3, TIME + 1, (count,), generator=generator)
    mask = (torch.arange(TIME) < lengths[:, None]).long()
    labels = torch.randint(CLASSES, (count,), generator=generator)
    places = (torch.rand(count, generator=generator) * lengths).long()
    false = torch.randint(CLASSES, (count, TIME), generator=generator)
    tokens = torch.where(mask == 0, false, tokens)
    tokens[torch.arange(count), places] = labels
    return (tokens.numpy(), mask.numpy()), labels.numpy()


TRAIN, CALIBRATION, TEST = rows(1000, 0), rows(200, 1)[0], rows(500, 2)
EXAMPLE = tuple(torch.from_numpy(array[:4]) for array in TRAIN[0])


@functools.cache
def _finder(way: str) -> GraphModule:
    torch.manual_seed(0)
    model = rebuild(export(Finder(way).eval(), *EXAMPLE))
    if way not in (SAME, *OTHERS):  # the same function, written otherwise
        model.load_state_dict(_finder(SAME).state_dict())
        return model
    settings = replace(SETTINGS, epochs=5, learning_rate=5e-3)
    fine_tune(model, TRAIN[0], TRAIN[1], None, F.cross_entropy, settings)
    return model


def finder(way: str) -> GraphModule:
    """A fresh copy of a trained encoder."""
    return copy.deepcopy(_finder(way))

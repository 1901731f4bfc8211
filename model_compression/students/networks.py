"""Networks for images, sensor signals and text: convolutions that quantize and fuse on every device."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

IMAGE_KERNEL = 3
SMALLEST_SIDE = 4  # pixels of the image after the last stage
LARGE = 64  # side in pixels from which the first convolution halves the image
TIME_KERNEL = 5
SHORTEST = 8  # samples that are left to the last layer
NARROWEST = 8  # columns of a table of tokens
Convolution = type[nn.Conv1d] | type[nn.Conv2d]


def depthwise_cnn(channels: int, size: tuple[int, int], classes: int, width: int, depth: int) -> nn.Module:
    """Build a network for images (rows, channels, *size) of depthwise-separable convolutions.

    Each stage has `depth` blocks, halves the image and doubles the channels. Plain ReLU, which quantizes and fuses
    everywhere. Source: Howard et al., MobileNets, 2017.
    """
    side = min(size)
    stride = 2 if side >= LARGE else 1
    layers = [*_convolution(nn.Conv2d, channels, width, IMAGE_KERNEL, stride)]
    side = -(-side // stride)
    while side > SMALLEST_SIDE:
        for index in range(depth):
            last = index == depth - 1
            layers += _separable(nn.Conv2d, width, 2 * width if last else width, IMAGE_KERNEL, 2 if last else 1)
        width, side = 2 * width, -(-side // 2)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))


def signal_net(channels: int, length: int, classes: int, width: int, depth: int) -> nn.Module:
    """Build a network for signals (rows, channels, length), or (rows, length), which count as one channel.

    A first full convolution, `depth` depthwise-separable blocks, then halvings until few samples are left. One linear
    layer reads these in their order, because the position of a sensor value matters.
    """
    layers = [*_convolution(nn.Conv1d, channels, width, TIME_KERNEL, 1)]
    for _ in range(depth):
        layers += _separable(nn.Conv1d, width, width, TIME_KERNEL, 1)
    while length > SHORTEST:
        layers += _separable(nn.Conv1d, width, width, TIME_KERNEL, 2)
        length = -(-length // 2)
    return nn.Sequential(_Channels(), *layers, nn.Flatten(), nn.Linear(width * length, classes))


class _Channels(nn.Module):
    """Turns rows of values (rows, length) into signals of one channel."""

    def forward(self, x: Tensor) -> Tensor:
        return x.unsqueeze(1) if x.dim() == 2 else x


def _separable(kind: Convolution, channels: int, width: int, kernel: int, stride: int) -> Iterator[nn.Module]:
    yield from _convolution(kind, channels, channels, kernel, stride, groups=channels)
    yield from _convolution(kind, channels, width, 1, 1)


def _convolution(
    kind: Convolution, channels: int, width: int, kernel: int, stride: int, groups: int = 1
) -> Iterator[nn.Module]:
    yield kind(channels, width, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
    yield nn.BatchNorm1d(width) if kind is nn.Conv1d else nn.BatchNorm2d(width)
    yield nn.ReLU()


def text_net(vocabulary: int, classes: int, width: int, depth: int) -> nn.Module:
    """Build an encoder of token numbers (rows, time), with an optional mask (rows, time) of ones where tokens are.

    Without a mask, token 0 counts as padding. The table of tokens has a quarter of the width, because it is most of
    the file (factorized embedding: Lan et al., ALBERT, 2020).
    """
    return TextNet(vocabulary, classes, width, depth)


class TextNet(nn.Module):
    """Embedding, residual depthwise-separable convolutions over time, mean and maximum of the tokens, classifier.

    There is no attention: convolutions mix neighbouring tokens.
    """

    def __init__(self, vocabulary: int, classes: int, width: int, depth: int) -> None:
        super().__init__()
        narrow = max(NARROWEST, width // 4)
        self.table = nn.Embedding(vocabulary, narrow)
        self.widen = nn.Linear(narrow, width)
        self.blocks = nn.ModuleList(_Mixer(width) for _ in range(depth))
        self.classifier = nn.Linear(2 * width, classes)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return class scores (rows, classes)."""
        present = (tokens != 0 if mask is None else mask != 0).unsqueeze(1).to(torch.float32)
        x = self.widen(self.table(tokens)).transpose(1, 2) * present
        for block in self.blocks:
            x = block(x, present)
        mean = x.sum(2) / present.sum(2).clamp(min=1)
        largest = x.amax(2)  # features of padding are 0, and after a ReLU nothing is smaller
        scores: Tensor = self.classifier(torch.cat([mean, largest], 1))
        return scores


class _Mixer(nn.Module):
    """Adds to each token's features a convolution over its neighbours' features."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.near = nn.Conv1d(width, width, TIME_KERNEL, padding=TIME_KERNEL // 2, groups=width, bias=False)
        self.norm = nn.BatchNorm1d(width)
        self.mix = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        return torch.relu(x + self.mix(torch.relu(self.norm(self.near(x))))) * present

"""A student for images: depthwise-separable convolutions."""

from collections.abc import Iterator

from torch import nn

SMALLEST_SIDE = 4  # pixels that the last stage leaves standing
LARGE = 64  # pixels from which on the first convolution halves the image at once


def depthwise_cnn(channels: int, size: tuple[int, int], classes: int, width: int, depth: int) -> nn.Module:
    """Build stages of `depth` depthwise-separable blocks, each with half the image and twice the channels.

    Source: Howard et al., MobileNets, 2017. Plain ReLU, which quantizes and fuses everywhere.
    """
    side = min(size)
    stride = 2 if side >= LARGE else 1
    layers = [*_convolution(channels, width, 3, stride)]
    side = -(-side // stride)
    while side > SMALLEST_SIDE:
        for index in range(depth):
            last = index == depth - 1
            layers += _separable(width, 2 * width if last else width, 2 if last else 1)
        width, side = 2 * width, -(-side // 2)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))


def _separable(channels: int, width: int, stride: int) -> Iterator[nn.Module]:
    yield from _convolution(channels, channels, 3, stride, groups=channels)
    yield from _convolution(channels, width, 1, 1)


def _convolution(channels: int, width: int, kernel: int, stride: int, groups: int = 1) -> Iterator[nn.Module]:
    yield nn.Conv2d(channels, width, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
    yield nn.BatchNorm2d(width)
    yield nn.ReLU()

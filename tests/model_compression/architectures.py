"""Small models of the kinds that teams register, and the export that MLflow makes of them."""

import functools
import warnings
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.nn import functional as F


class PlainCnn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Dropout2d(0.1),
            nn.AvgPool2d(2),
        )
        self.hidden = nn.Linear(32 * 4, 64)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        x = x.view(x.size(0), x.size(1) * x.size(2) * x.size(3))
        return self.head(self.dropout(F.relu(self.hidden(x))))


class Residual(nn.Module):
    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inner, outer, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outer)
        self.conv2 = nn.Conv2d(outer, outer, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outer)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride > 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(inner, outer, 1, stride=stride, bias=False), nn.BatchNorm2d(outer)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class SmallResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.layer1 = nn.Sequential(Residual(16, 16, 1), Residual(16, 32, 2))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.flatten(self.pool(self.layer1(self.stem(x))), 1))


class SqueezeExcite(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.reduce = nn.Linear(width, width // 4)
        self.expand = nn.Linear(width // 4, width)

    def forward(self, x: Tensor) -> Tensor:
        scale = torch.sigmoid(self.expand(F.silu(self.reduce(x.mean((2, 3))))))
        return x * scale.view(x.shape[0], x.shape[1], 1, 1)


class MobileBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        wide = width * 2
        self.expand = nn.Sequential(nn.Conv2d(width, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6(inplace=True))
        depthwise = nn.Conv2d(wide, wide, 3, padding=1, groups=wide, bias=False)
        self.depthwise = nn.Sequential(depthwise, nn.BatchNorm2d(wide), nn.Hardswish(inplace=True))
        self.excite = SqueezeExcite(wide)
        self.project = nn.Sequential(nn.Conv2d(wide, width, 1, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.project(self.excite(self.depthwise(self.expand(x))))


class MobileNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6())
        self.blocks = nn.Sequential(MobileBlock(16))
        self.classifier = nn.Sequential(nn.Dropout(0.2, inplace=True), nn.Linear(16, 10))

    def forward(self, x: Tensor) -> Tensor:
        x = F.adaptive_avg_pool2d(self.blocks(self.stem(x)), 1)
        return self.classifier(x.flatten(1))


class SignalNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(3, 16, 5, stride=2, padding=2)
        self.bn1 = nn.BatchNorm1d(16)
        self.act = nn.LeakyReLU(0.1)
        self.pool = nn.MaxPool1d(2)
        self.conv2 = nn.Conv1d(16, 32, 3, padding="same", dilation=2)
        self.norm = nn.GroupNorm(4, 32)
        self.last = nn.AdaptiveAvgPool1d(1)
        self.fc = nn.Linear(32, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.act(self.bn1(self.conv1(x))))
        return self.fc(self.last(torch.tanh(self.norm(self.conv2(x)))).squeeze(-1))


class Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(20, 32)
        self.norm = nn.LayerNorm(32)
        self.act = nn.GELU(approximate="tanh")
        self.drop = nn.Dropout(0.3)
        self.second = nn.Linear(32, 32, bias=False)
        self.bn = nn.BatchNorm1d(32)
        self.out = nn.Linear(32, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.drop(self.act(self.norm(self.first(x))))
        return self.out(F.relu(self.bn(self.second(x))))


class TextClassifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 32, padding_idx=0)
        self.hidden = nn.Linear(32, 16)
        self.head = nn.Linear(16, 4)

    def forward(self, tokens: Tensor) -> dict[str, Tensor]:
        return {"logits": self.head(torch.relu(self.hidden(self.embedding(tokens).mean(dim=1))))}


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.randn(1, 6, 16))
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.1, activation="gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.head = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(x + self.positions).mean(1))


class Architecture(NamedTuple):
    """A model, rows for it, and the layer whose channels are the output."""

    model: type[nn.Module]
    rows: Tensor
    head: str
    prunable: bool = True

    def build(self, *, training: bool) -> nn.Module:
        """A model whose batch statistics are no longer those of a fresh one."""
        torch.manual_seed(0)
        model = self.model().train()
        for _ in range(3):
            model(self.rows)
        return model.train(training)


def _rows(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


ARCHITECTURES = {
    "cnn": Architecture(PlainCnn, _rows(6, 1, 8, 8), "head"),
    "resnet": Architecture(SmallResNet, _rows(6, 1, 8, 8), "fc"),
    "mobilenet": Architecture(MobileNet, _rows(6, 1, 8, 8), "classifier.1"),
    "signal": Architecture(SignalNet, _rows(6, 3, 32), "fc"),
    "mlp": Architecture(Mlp, _rows(6, 20), "out"),
    "text": Architecture(TextClassifier, torch.arange(42).reshape(6, 7), "head"),
    "encoder": Architecture(Encoder, _rows(6, 6, 16), "head", prunable=False),
}


def export(model: nn.Module, *rows: Tensor) -> ExportedProgram:
    """Export as mlflow.pytorch.save_model does: the first dimension is for the exporter to decide."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.export(model, rows, dynamic_shapes=[{0: Dim.AUTO} for _ in rows])


@functools.cache
def exported(name: str, *, training: bool = False) -> tuple[nn.Module, ExportedProgram]:
    """One of ARCHITECTURES and its program, exported in training or evaluation mode; neither may be changed."""
    kind = ARCHITECTURES[name]
    model = kind.build(training=training)
    return model, export(model, kind.rows)

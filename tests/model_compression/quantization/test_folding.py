"""Folding of batch norms: the same answers with fewer nodes, and no folding where they would differ."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from model_compression.intake import rebuild
from model_compression.quantization.folding import fold_batch_norm, freeze_batch_norm
from tests.model_compression.architectures import ARCHITECTURES, exported
from tests.model_compression.toys import NORMS, untrained, with_statistics

IMAGES = torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(0))


def norms(model: nn.Module) -> int:
    return sum(isinstance(part, NORMS) for part in model.modules())


@pytest.mark.parametrize(("name", "left"), [("cnn", 0), ("resnet", 0), ("mobilenet", 0), ("signal", 0), ("mlp", 0)])
def test_answers_stay_and_no_batch_norm_is_left(name: str, left: int) -> None:
    rows = ARCHITECTURES[name].rows
    model = rebuild(exported(name)[1])
    expected = model(rows)
    assert norms(model) > 0
    folded = fold_batch_norm(model, (rows,))
    assert norms(folded) == left
    torch.testing.assert_close(folded(rows), expected, rtol=1e-4, atol=1e-5)
    assert not folded.training


LAYERS: dict[str, Callable[[], nn.Conv2d | nn.ConvTranspose2d]] = {
    "with bias": lambda: nn.Conv2d(3, 8, 3),
    "grouped": lambda: nn.Conv2d(3, 8 * 3, 3, groups=3),
    "transposed": lambda: nn.ConvTranspose2d(3, 8, 3, bias=False),
}


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("affine", [True, False])
def test_every_kind_of_convolution_folds(kind: str, affine: bool) -> None:
    torch.manual_seed(0)
    layer = LAYERS[kind]()
    model = nn.Sequential(layer, nn.BatchNorm2d(layer.out_channels, affine=affine, eps=0.1), nn.ReLU())
    graph = untrained(with_statistics(model, IMAGES), IMAGES)
    expected = graph(IMAGES)
    assert norms(fold_batch_norm(graph, (IMAGES,))) == 0
    torch.testing.assert_close(graph(IMAGES), expected, rtol=1e-4, atol=1e-5)


class Twice(nn.Module):
    """One convolution under two batch norms."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.first, self.second = nn.BatchNorm2d(3), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.conv(self.first(self.conv(x))))


class ReadTwice(nn.Module):
    """A convolution that another branch reads before its batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return self.norm(x) + x


class NormFirst(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(torch.relu(self.norm(x)))


class Sequences(nn.Module):
    """A linear counts features on the last dimension, the batch norm after it channels on the second one."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.norm = nn.Linear(6, 6), nn.BatchNorm1d(6)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.linear(x))


@pytest.mark.parametrize(
    ("build", "rows", "left"),
    [
        (Twice, IMAGES, 2),
        (ReadTwice, IMAGES, 1),
        (NormFirst, IMAGES, 1),
        (Sequences, IMAGES[:, 0], 1),
        (lambda: nn.Sequential(nn.ConvTranspose2d(4, 8, 3, groups=2), nn.BatchNorm2d(8)), IMAGES[:, [0, 1, 2, 0]], 1),
        (lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False)), IMAGES, 1),
    ],
)
def test_what_would_change_the_answers_stays(build: Callable[[], nn.Module], rows: Tensor, left: int) -> None:
    graph = untrained(with_statistics(build(), rows), rows)
    expected = graph(rows)
    assert norms(fold_batch_norm(graph, (rows,))) == left
    torch.testing.assert_close(graph(rows), expected, rtol=1e-4, atol=1e-5)


def test_one_batch_norm_after_two_convolutions_folds_into_both() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.norm = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)

        def forward(self, x: Tensor) -> Tensor:
            return self.norm(self.a(x)) * self.norm(self.b(x))

    graph = untrained(with_statistics(Shared(), IMAGES), IMAGES)
    expected = graph(IMAGES)
    assert norms(fold_batch_norm(graph, (IMAGES,))) == 0
    torch.testing.assert_close(graph(IMAGES), expected, rtol=1e-4, atol=1e-5)


RANKS: dict[int, tuple[type[nn.Module], Tensor]] = {
    2: (nn.BatchNorm1d, IMAGES[:, :, 0, 0]),
    3: (nn.BatchNorm1d, IMAGES[:, :, 0]),
    4: (nn.BatchNorm2d, IMAGES),
    5: (nn.BatchNorm3d, IMAGES[..., None]),
}


@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.parametrize("affine", [True, False])
def test_a_frozen_batch_norm_is_another_layer_with_the_same_answers(rank: int, affine: bool) -> None:
    kind, rows = RANKS[rank]
    model = nn.Sequential(nn.Tanh(), kind(3, eps=0.1, affine=affine), nn.Tanh())
    graph = untrained(with_statistics(model, rows), rows)
    expected = graph(rows)
    assert norms(freeze_batch_norm(graph, (rows,))) == 0
    torch.testing.assert_close(graph(rows), expected, rtol=1e-4, atol=1e-5)
    graph.train()
    torch.testing.assert_close(graph(rows), expected, rtol=1e-4, atol=1e-5)
    assert all(parameter.requires_grad for parameter in graph.parameters())


def test_one_frozen_batch_norm_that_is_called_twice_counts_twice() -> None:
    class Again(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(3)

        def forward(self, x: Tensor) -> Tensor:
            return self.norm(torch.relu(self.norm(x)))

    graph = untrained(with_statistics(Again(), IMAGES), IMAGES)
    expected = graph(IMAGES)
    freeze_batch_norm(graph, (IMAGES,))
    torch.testing.assert_close(graph(IMAGES), expected, rtol=1e-4, atol=1e-5)


def test_a_batch_norm_without_statistics_is_not_frozen() -> None:
    graph = untrained(nn.Sequential(nn.Tanh(), nn.BatchNorm2d(3, track_running_stats=False)), IMAGES)
    assert norms(freeze_batch_norm(graph, (IMAGES,))) == 1


class _NormWithActivation(nn.BatchNorm2d):
    """A norm that holds its activation, as those of timm do."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        activated: Tensor = self.act(super().forward(x))
        return activated


@pytest.mark.parametrize("first", [nn.Tanh, lambda: nn.Conv2d(3, 3, 1)], ids=["frozen", "folded"])
def test_what_a_batch_norm_holds_stays_where_the_norm_goes(first: Callable[[], nn.Module]) -> None:
    graph = untrained(with_statistics(nn.Sequential(first(), _NormWithActivation(3)), IMAGES), IMAGES)
    expected = graph(IMAGES)
    assert norms(freeze_batch_norm(fold_batch_norm(graph, (IMAGES,)), (IMAGES,))) == 0
    torch.testing.assert_close(graph(IMAGES), expected, rtol=1e-4, atol=1e-5)

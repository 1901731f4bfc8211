"""Members of families: heads of many kinds on trunks of many kinds, as intake gives them."""

import copy
import functools
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from model_compression.families import Member, join, shared_backbone
from tests.model_compression.architectures import ARCHITECTURES, MobileNet, SmallResNet
from tests.model_compression.encoders import CLASSES, HEADS, WIDTH, SmallBert
from tests.model_compression.encoders import rows as text_rows
from tests.model_compression.toys import untrained, with_statistics

IMAGES = ARCHITECTURES["resnet"].rows


class Headed(nn.Module):
    """A head on a trunk; its one input is called `image`."""

    def __init__(self, trunk: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.trunk, self.head = trunk, head

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.trunk(image))


class OtherNames(nn.Module):
    """The same as Headed, with other names for everything."""

    def __init__(self, trunk: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder, self.classifier = trunk, head

    def forward(self, pixels: Tensor) -> Tensor:
        encoded = self.encoder(pixels)
        return self.classifier(encoded)


class Attention(nn.Module):
    """Attention over all places, with one matrix for queries, keys and values."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        parts = (each.unflatten(-1, (HEADS, -1)).transpose(1, 2) for each in self.qkv(x).chunk(3, -1))
        seen = nn.functional.scaled_dot_product_attention(*parts)
        return self.out(seen.transpose(1, 2).flatten(2))


class VitBlock(nn.Module):
    """Attention and a feed-forward part, each with a norm before it and a way around."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.attention, self.second = nn.LayerNorm(width), Attention(width), nn.LayerNorm(width)
        self.widen, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.first(x))
        return x + self.narrow(nn.functional.gelu(self.widen(self.second(x))))


class VitTrunk(nn.Module):
    """Patches of images, a token for the whole, two layers: the token's features."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, WIDTH, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, WIDTH))
        self.positions = nn.Parameter(torch.randn(1, 5, WIDTH))
        self.blocks = nn.Sequential(VitBlock(WIDTH), VitBlock(WIDTH))
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        places = self.patches(x).flatten(2).transpose(1, 2)
        whole = torch.cat([self.token.expand(x.shape[0], -1, -1), places], 1)
        return self.norm(self.blocks(whole + self.positions))[:, 0]


class TextHeaded(nn.Module):
    """A head on the first token of a text."""

    def __init__(self, trunk: SmallBert, head: nn.Module) -> None:
        super().__init__()
        self.trunk, self.head = copy.deepcopy(trunk), None
        self.trunk.classifier = head  # type: ignore[assignment]

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.trunk(ids, mask)


class Weighed(nn.Module):
    """A head that weighs each feature, with as many copies of the weights as there are rows."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.weights, self.out = nn.Parameter(torch.randn(1, width)), nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(x * self.weights.expand(x.shape[0], -1))


class Gated(nn.Module):
    """A head that writes into the features in place and then reads them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.out = nn.Linear(width, 2)

    def forward(self, x: Tensor) -> Tensor:
        x[:, :3] = 0
        return self.out(x.mean((2, 3)))


def linear(width: int, classes: int) -> nn.Module:
    """A pooled linear classifier."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))


def mlp(width: int, classes: int) -> nn.Module:
    """A classifier with a hidden layer, pooled and flattened as linear() is."""
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, classes)
    )


def conv(width: int, classes: int) -> nn.Module:
    """A head whose answers have places: (rows, classes, 2, 2)."""
    return nn.Sequential(nn.Conv2d(width, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, classes, 1),
                         nn.AdaptiveAvgPool2d(2))  # fmt: skip


def number(width: int) -> nn.Module:
    """A head with a bare number for each row: (rows,)."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 1), nn.Flatten(0))


def resnet_trunk() -> nn.Module:
    """A residual trunk with batch norms, as one training left it."""
    torch.manual_seed(0)
    net = SmallResNet()
    return with_statistics(nn.Sequential(net.stem, net.layer1), IMAGES).eval()


def mobile_trunk() -> nn.Module:
    """A trunk with depthwise convolutions and squeeze-and-excite."""
    torch.manual_seed(0)
    net = MobileNet()
    return with_statistics(nn.Sequential(net.stem, net.blocks), IMAGES).eval()


def of(name: str, trunk: nn.Module, head: nn.Module, kind: Callable[..., nn.Module] = Headed) -> Member:
    """A member with a head on a trunk of images."""
    return Member(name, untrained(kind(trunk, head), IMAGES))


class Family(NamedTuple):
    """Members and rows for them."""

    members: tuple[Member, ...]
    rows: tuple[Tensor, ...]

    @property
    def names(self) -> list[str]:
        return [member.name for member in self.members]

    def joined(self) -> torch.fx.GraphModule:
        return join(self.members, shared_backbone(self.members))

    def answers(self) -> Tensor:
        """The members' own answers, side by side."""
        return torch.cat([member.model(*self.rows).reshape(len(self.rows[0]), -1) for member in self.members], 1)


def _resnet() -> Family:
    trunk = resnet_trunk()
    heads = {"kind": linear(32, 10), "turn": mlp(32, 4), "where": conv(32, 3), "how-much": number(32)}
    return Family(tuple(of(name, trunk, head) for name, head in heads.items()), (IMAGES,))


def _mobile() -> Family:
    trunk = mobile_trunk()
    named = of("turn", trunk, mlp(16, 4), OtherNames)
    return Family((of("kind", trunk, linear(16, 10)), named), (IMAGES,))


def _vit() -> Family:
    torch.manual_seed(0)
    trunk = VitTrunk()
    hidden = nn.Sequential(nn.Linear(WIDTH, 16), nn.GELU(), nn.Linear(16, 4))
    heads = {"kind": nn.Linear(WIDTH, 10), "turn": hidden, "sharp": Weighed(WIDTH, 3)}
    return Family(tuple(of(name, trunk, head) for name, head in heads.items()), (IMAGES,))


def _text() -> Family:
    torch.manual_seed(0)
    trunk = SmallBert()
    heads = {
        "topic": nn.Linear(WIDTH, CLASSES),
        "tone": nn.Sequential(nn.Linear(WIDTH, 16), nn.ReLU(), nn.Linear(16, 2)),
    }
    rows = text_rows()
    return Family(tuple(Member(name, untrained(TextHeaded(trunk, head), *rows)) for name, head in heads.items()), rows)


FAMILIES = {"resnet": _resnet, "mobile": _mobile, "vit": _vit, "text": _text}


@functools.cache
def family(name: str) -> Family:
    """One of FAMILIES; nobody may change it."""
    return FAMILIES[name]()


@functools.cache
def pair() -> tuple[Member, Member]:
    """Two members on resnet_trunk(), which pool and flatten alike: `kind` and `turn`; nobody may change them."""
    trunk = resnet_trunk()
    return of("kind", trunk, linear(32, 10)), of("turn", trunk, mlp(32, 4))


@functools.cache
def registered(name: str) -> torch.fx.GraphModule:
    """The joined model of a family, exported and rebuilt as a registered one is; nobody may change it."""
    given = family(name)
    return untrained(given.joined(), *given.rows)

"""A student for text without attention: what stands near each other is mixed by convolutions."""

import torch
from torch import Tensor, nn

KERNEL = 5
NARROWEST = 8


def text_net(vocabulary: int, classes: int, width: int, depth: int) -> nn.Module:
    """Build an encoder of token numbers (rows, time), with an optional mask (rows, time) of ones where tokens are.

    Without a mask, token 0 counts as padding. The table of tokens has a quarter of the width, for it is most of the
    file (factorized embedding: Lan et al., ALBERT, 2020).
    """
    return TextNet(vocabulary, classes, width, depth)


class TextNet(nn.Module):
    """Embedding, residual depthwise-separable convolutions over time, mean and maximum of the tokens, classifier."""

    def __init__(self, vocabulary: int, classes: int, width: int, depth: int) -> None:
        super().__init__()
        narrow = max(NARROWEST, width // 4)
        self.table = nn.Embedding(vocabulary, narrow)
        self.widen = nn.Linear(narrow, width)
        self.blocks = nn.ModuleList(_Mixer(width) for _ in range(depth))
        self.classifier = nn.Linear(2 * width, classes)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Class scores (rows, classes)."""
        present = (tokens != 0 if mask is None else mask != 0).unsqueeze(1).to(torch.float32)
        x = self.widen(self.table(tokens)).transpose(1, 2) * present
        for block in self.blocks:
            x = block(x, present)
        mean = x.sum(2) / present.sum(2).clamp(min=1)
        largest = x.amax(2)  # padding is 0 and so are its features: after a ReLU nothing is smaller
        return self.classifier(torch.cat([mean, largest], 1))


class _Mixer(nn.Module):
    """What a token's neighbours say, added to what it says."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.near = nn.Conv1d(width, width, KERNEL, padding=KERNEL // 2, groups=width, bias=False)
        self.norm = nn.BatchNorm1d(width)
        self.mix = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        return torch.relu(x + self.mix(torch.relu(self.norm(self.near(x))))) * present

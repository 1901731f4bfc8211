"""Literal sizes that pruning would break are gone from the rebuilt model."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from model_compression.intake import check_equal, rebuild
from tests.model_compression.architectures import export


class _Shaped(nn.Module):
    """A linear layer that gives `width` features, whatever happens to them then, and their sum."""

    def __init__(self, width: int, shape: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.layer = nn.Linear(3, width)
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return self.shape(self.layer(x))


CASES = {
    # name: (rows, width, what the model does, the width after pruning, the output's shape then)
    "merge": ((2, 5, 3), 8, lambda y: y.view(y.shape[0], 40), 4, (2, 20)),
    "merge with -1": ((2, 5, 3), 8, lambda y: y.reshape(y.shape[0], -1), 4, (2, 20)),
    "ones appended": ((2, 3), 8, lambda y: y.view(y.shape[0], 8, 1, 1), 4, (2, 4, 1, 1)),
    "ones removed": ((2, 3), 8, lambda y: y.view(y.shape[0], 8, 1).view(-1, 8), 4, (2, 4)),
    "heads": ((2, 5, 3), 8, lambda y: y.view(y.shape[0], 5, 4, 2), 4, (2, 5, 2, 2)),
    "groups of channels": (
        (2, 5, 3),
        8,
        lambda y: y.transpose(1, 2).reshape(y.shape[0], 2, 4, 5),
        4,
        (2, 2, 2, 5),
    ),
    "rows merged": ((2, 5, 3), 8, lambda y: y.reshape(y.shape[0] * 5, 8), 4, (10, 4)),
    "expand": ((2, 3), 8, lambda y: y.unsqueeze(1).expand(y.shape[0], 6, 8), 4, (2, 6, 4)),
    "even split": ((2, 3), 8, lambda y: torch.mul(*y.split(4, 1)), 4, (2, 2)),
    "even split by sizes": ((2, 3), 8, lambda y: torch.mul(*y.split([4, 4], -1)), 4, (2, 2)),
}


@pytest.mark.parametrize("case", CASES)
def test_narrower_layer_still_fits(case: str) -> None:
    shape, width, transform, narrow, expected = CASES[case]
    rows = torch.randn(*shape)
    program = export(_Shaped(width, transform), rows)
    rebuilt = rebuild(program)
    assert check_equal(program, rebuilt, (rows,)) == 0.0
    rebuilt.set_submodule("layer", nn.Linear(3, narrow))
    assert rebuilt(rows).shape == expected


@pytest.mark.parametrize(
    "transform",
    [
        lambda y: y.view(y.shape[0], 4, 2).view(y.shape[0], 2, 4),
        lambda y: torch.cat(y.split([2, 6], 1)[::-1], 1),
        lambda y: torch.cat(y.split(3, 1)[::-1], 1),
    ],
    ids=["other factors", "uneven sizes", "uneven rest"],
)
def test_sizes_that_mean_something_else_stay(transform: Callable[[Tensor], Tensor]) -> None:
    rows = torch.randn(4, 3)
    program = export(_Shaped(8, transform), rows)
    assert check_equal(program, rebuild(program), (rows,)) == 0.0

"""The form of a program: the same after a training, another with any other layer."""

import copy
import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from model_compression.intake import graph_digest, load_program, weight_shapes
from tests.model_compression.architectures import ARCHITECTURES, export, exported

ROWS = torch.randn(3, 1, 8, 8)


def network(width: int = 4, stride: int = 1, dropout: float = 0.1, activation: type[nn.Module] = nn.ReLU) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, width, 3, stride, padding=1), nn.BatchNorm2d(width), activation(), nn.Dropout(dropout),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 2),
    ).eval()  # fmt: skip


def form(model: nn.Module) -> tuple[dict[str, tuple[int, ...]], str]:
    program = export(model, ROWS)
    return weight_shapes(program), graph_digest(program)


def test_other_weights_are_of_the_same_form() -> None:
    model = network()
    trained = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.add_(0.1)
    assert form(trained) == form(model)
    assert form(model)[0]["0.weight"] == (4, 1, 3, 3)


def test_another_rate_of_dropout_makes_no_other_form() -> None:
    assert form(network(dropout=0.2)) == form(network())


@pytest.mark.parametrize("other", [{"stride": 2}, {"activation": nn.GELU}], ids=str)
def test_another_operator_with_the_same_weights_is_another_graph(other: dict[str, object]) -> None:
    shapes, digest = form(network())
    other_shapes, other_digest = form(network(**other))  # type: ignore[arg-type]
    assert other_shapes == shapes and other_digest != digest


def test_another_width_is_another_shape() -> None:
    assert form(network(width=8))[0] != form(network())[0]


def test_weights_in_each_others_place_are_another_graph() -> None:
    class Two(nn.Module):
        def __init__(self, swapped: bool) -> None:
            super().__init__()
            self.a, self.b, self.swapped = nn.Linear(8, 8), nn.Linear(8, 8), swapped

        def forward(self, x: Tensor) -> Tensor:
            first, second = (self.b, self.a) if self.swapped else (self.a, self.b)
            return second(torch.relu(first(x)))

    one, other = (export(Two(swapped).eval(), torch.randn(3, 8)) for swapped in (False, True))
    assert weight_shapes(one) == weight_shapes(other) and graph_digest(one) != graph_digest(other)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_stored_program_has_the_form_that_it_was_stored_with(name: str, tmp_path: Path) -> None:
    program = exported(name)[1]
    torch.export.save(program, tmp_path / "program.pt2")
    loaded = load_program(tmp_path / "program.pt2")
    assert (weight_shapes(loaded), graph_digest(loaded)) == (weight_shapes(program), graph_digest(program))
    json.dumps(weight_shapes(loaded))

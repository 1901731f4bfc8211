"""What a program takes and gives."""

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

from model_compression.errors import IntakeError
from model_compression.intake import InputSpec, input_specs, rebuild
from model_compression.intake.program import check_dynamic_batch
from tests.model_compression.intake.models import Mlp, export


class _Two(nn.Module):
    def forward(self, input: Tensor, mask: Tensor) -> tuple[Tensor]:
        return (input * mask.unsqueeze(1),)


def test_inputs_are_listed_in_their_order_under_their_names() -> None:
    program = export(_Two(), torch.randn(4, 3), torch.ones(4, dtype=torch.bool))
    assert input_specs(program) == [
        InputSpec("input", torch.float32, (None, 3)),
        InputSpec("mask", torch.bool, (None,)),
    ]
    rebuilt = rebuild(program)
    assert torch.equal(rebuilt(torch.ones(2, 3), torch.tensor([True, False])), torch.tensor([[1.0] * 3, [0.0] * 3]))


def test_static_batch_of_several_rows_is_refused_as_well() -> None:
    program = torch.export.export(Mlp().eval(), (torch.randn(4, 20),))
    with pytest.raises(IntakeError, match=r"a fixed batch size of 4 in input 'x' of shape \[4, 20\].*-1 as its first"):
        check_dynamic_batch(program)


class _Scaled(nn.Module):
    def forward(self, x: Tensor, factor: float) -> Tensor:
        return x * factor


class _Nested(nn.Module):
    def forward(self, both: list[Tensor]) -> Tensor:
        return both[0] + both[1]


def test_inputs_that_are_no_tensors_are_refused() -> None:
    program = torch.export.export(_Scaled(), (torch.randn(2, 3), 2.0), dynamic_shapes=[{0: Dim.AUTO}, None])
    with pytest.raises(IntakeError, match="expected tensors as the model's inputs, got factor of another type"):
        input_specs(program)


def test_nested_inputs_are_refused() -> None:
    rows = [torch.randn(2, 3), torch.randn(2, 3)]
    program = torch.export.export(_Nested(), (rows,), dynamic_shapes=[[{0: Dim.AUTO}, {0: Dim.AUTO}]])
    with pytest.raises(IntakeError, match="got nested containers; let forward\\(\\) take tensors only"):
        rebuild(program)

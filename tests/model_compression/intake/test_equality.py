"""Comparison of a rebuilt model with its program on real rows."""

import copy

import pytest
import torch
from torch import Tensor, nn

from model_compression.errors import IntakeError
from model_compression.intake import check_equal, rebuild
from tests.model_compression.architectures import ARCHITECTURES, export, exported

ROWS = ARCHITECTURES["mlp"].rows


def _changed(by: float) -> nn.Module:
    rebuilt = copy.deepcopy(rebuild(exported("mlp")[1]))
    with torch.no_grad():
        rebuilt.get_parameter("out.bias").add_(by)
    return rebuilt


def test_difference_is_relative_to_the_largest_output() -> None:
    model, program = exported("mlp")
    with torch.no_grad():
        scale = model(ROWS).abs().max().item()
    assert check_equal(program, _changed(0.01), (ROWS,), tolerance=1.0) == pytest.approx(0.01 / scale, rel=1e-3)


def test_difference_above_the_tolerance_is_refused_with_its_size() -> None:
    with pytest.raises(IntakeError, match=r"got a difference of [\d.e-]+ on 6 rows.*build_model\(\)"):
        check_equal(exported("mlp")[1], _changed(0.01), (ROWS,))


@pytest.mark.parametrize("mode", [True, False])
def test_the_models_mode_is_kept(mode: bool) -> None:
    rebuilt = rebuild(exported("mlp")[1])
    rebuilt.train(mode)
    rebuilt.get_submodule("norm").train(not mode)
    check_equal(exported("mlp")[1], rebuilt, (ROWS,))
    assert rebuilt.training is mode
    assert rebuilt.get_submodule("norm").training is not mode


def test_program_exported_in_training_mode_stays_as_it_is() -> None:
    _, program = exported("mlp", training=True)
    before = {name: value.clone() for name, value in program.state_dict.items()}
    assert check_equal(program, rebuild(program), (ROWS,)) == 0.0
    assert all(torch.equal(value, before[name]) for name, value in program.state_dict.items())


def test_nan_from_the_rebuilt_model_is_refused() -> None:
    with pytest.raises(IntakeError, match="got NaN from the rebuilt model in 6 of 6 rows"):
        check_equal(exported("mlp")[1], _changed(float("nan")), (ROWS,))


def test_nan_from_the_program_is_refused() -> None:
    rows = ROWS.clone()
    rows[2] = float("nan")
    with pytest.raises(IntakeError, match="got NaN from the registered program in 1 of 6 rows"):
        check_equal(exported("mlp")[1], _changed(0.0), (rows,))


class _Noisy(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.rand_like(x) if self.training else x


def test_random_program_is_called_that() -> None:
    program = export(_Noisy().train(), ROWS)
    with pytest.raises(IntakeError, match=r"own outputs are random: call model\.eval\(\) before"):
        check_equal(program, rebuild(program), (ROWS,))


class _Masked(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.masked_fill(x < 0, float("-inf"))


def test_equal_infinities_are_equal() -> None:
    rows = torch.randn(4, 3)
    assert check_equal(export(_Masked(), rows), _Masked(), (rows,)) == 0.0
    with pytest.raises(IntakeError, match="difference of inf"):
        check_equal(export(_Masked(), rows), nn.Identity(), (rows,))


def test_other_output_shape_is_refused() -> None:
    with pytest.raises(IntakeError, match=r"of shape \[6, 3\].*got \[6, 20\]"):
        check_equal(exported("mlp")[1], nn.Identity(), (ROWS,))


@pytest.mark.parametrize("inputs", [(), (ROWS, ROWS), (ROWS.double(),), (ROWS[:, :5],), (ROWS[0],)], ids=str)
def test_rows_that_do_not_fit_are_refused_with_what_would(inputs: tuple[Tensor, ...]) -> None:
    with pytest.raises(IntakeError, match=r"expected rows that fit.*x torch.float32 \[None, 20\]"):
        check_equal(exported("mlp")[1], nn.Identity(), inputs)

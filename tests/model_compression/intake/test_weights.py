"""A program's weights, loaded strictly by name."""

import pytest
import torch
from torch import nn

from model_compression.errors import IntakeError
from model_compression.intake import check_equal, load_into
from tests.model_compression.intake.models import ARCHITECTURES, Encoder, Mlp, exported


@pytest.mark.parametrize(("name", "model"), [("mlp", Mlp), ("encoder", Encoder)])
def test_module_of_the_same_architecture_equals_the_program(name: str, model: type[nn.Module]) -> None:
    _, program = exported(name)
    module = model()
    assert load_into(program, module) is module
    assert check_equal(program, module, (ARCHITECTURES[name].rows,)) < 1e-6


def test_names_that_differ_are_listed() -> None:
    module = Mlp()
    module.extra = nn.Linear(2, 2)
    del module.norm
    with pytest.raises(IntakeError) as caught:
        load_into(exported("mlp")[1], module)
    for words in ("program lacks extra.bias, extra.weight", "module lacks norm.bias, norm.weight", "build_model()"):
        assert words in str(caught.value)


def test_shapes_that_differ_are_listed_and_nothing_is_loaded() -> None:
    module = Mlp()
    module.first = nn.Linear(20, 8)
    before = module.out.weight.clone()
    with pytest.raises(IntakeError, match=r"other shapes first.bias \[32\] in the program, \[8\] in the module"):
        load_into(exported("mlp")[1], module)
    assert torch.equal(module.out.weight, before)


def test_long_lists_are_cut() -> None:
    with pytest.raises(IntakeError, match=r"the module lacks .* and 7 more"):
        load_into(exported("mlp")[1], nn.Module())

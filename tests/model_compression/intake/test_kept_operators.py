"""Operators and weights that no layer here has: they stay as they are, answer the same, and are named."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model_compression.errors import IntakeError
from model_compression.intake import (
    check_equal,
    check_one_output,
    keep_output,
    kept_as_they_are,
    load_program,
    output_names,
    rebuild,
)
from tests.model_compression.architectures import export


class _Recurrent(nn.Module):
    def __init__(self, kind: type[nn.Module]) -> None:
        super().__init__()
        self.cells = kind(5, 7, 2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(14, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cells(x)[0][:, -1])


class _Products(nn.Module):
    """Linear layers as GPT-2 and hand-written code have them: weights of shape (inputs, outputs)."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.bias = nn.Parameter(torch.randn(4, 6)), nn.Parameter(torch.randn(6))
        self.second = nn.Parameter(torch.randn(6, 3))

    def forward(self, x: Tensor) -> Tensor:
        once = torch.addmm(self.bias, x, self.first)
        return (torch.addmm(self.bias, x * 2, self.first) + once) @ self.second


class _Reparametrized(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3))
        self.two = nn.utils.parametrizations.spectral_norm(nn.Conv2d(4, 4, 3))
        self.three = nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.three.weight
        standard = (weight - weight.mean((1, 2, 3), keepdim=True)) / weight.std((1, 2, 3), keepdim=True)
        return F.conv2d(self.two(self.one(x)), standard, self.three.bias).mean((2, 3))


class _Tables(nn.Module):
    index: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.table, self.least = nn.Parameter(torch.randn(10, 4)), nn.Parameter(torch.zeros(4))
        self.norm = nn.InstanceNorm1d(4, affine=True)
        self.register_buffer("index", torch.tensor([1, 3, 5]))

    def forward(self, x: Tensor) -> Tensor:
        seen = self.norm(x + self.table[self.index].sum(0)[:, None])
        return torch.clamp(seen.mean(2), min=self.least)


@dataclasses.dataclass
class _Result:
    boxes: Tensor
    scores: Tensor


torch.export.register_dataclass(_Result, serialized_type_name="tests.kept_operators.Result")


class _Several(nn.Module):
    def __init__(self, form: str) -> None:
        super().__init__()
        self.layer, self.form = nn.Linear(4, 4), form

    def forward(self, x: Tensor) -> object:
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            angles = x.cos()
        one, other = self.layer(x) * angles, angles
        return {"tuple": (one, other), "dict": {"boxes": one, "scores": other}, "class": _Result(one, other)}[self.form]


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
@pytest.mark.parametrize("as_loops", [False, True])
def test_recurrent_layers_stay_with_what_they_weigh(kind: type[nn.Module], as_loops: bool) -> None:
    rows, model = torch.randn(3, 6, 5), _Recurrent(kind).eval()
    program = export(model, rows)
    program = program.run_decompositions() if as_loops else program
    rebuilt = rebuild(program)
    assert check_equal(program, rebuilt, (rows,)) <= 1e-6
    if not as_loops:
        (kept,) = kept_as_they_are(rebuilt)
        assert kept.operator == kind.__name__.lower()
        assert kept.weights == sum(weight.numel() for weight in model.cells.parameters())
    rebuilt(rows).sum().backward()
    assert all(weight.grad is not None for weight in rebuilt.parameters())


class _Cells(nn.Module):
    """A recurrent layer as a loop over its cell, as people write it."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.GRUCell(5, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        state = x.new_zeros(len(x), 4)
        for step in range(x.shape[1]):
            state = self.cell(x[:, step], state)
        return self.head(state)


def test_weights_that_a_loop_reads_are_named_once() -> None:
    (kept,) = kept_as_they_are(rebuild(export(_Cells().eval(), torch.randn(3, 6, 5))))
    assert (kept.operator, kept.calls, kept.weights) == ("gru_cell", 6, 3 * 4 * (5 + 4 + 2))
    assert str(kept).endswith("with 132 weights that 6 calls of it read")


def test_products_with_matrices_become_linear_layers() -> None:
    rows, model = torch.randn(3, 4), _Products().eval()
    program = export(model, rows)
    rebuilt = rebuild(program)
    assert check_equal(program, rebuilt, (rows,)) <= 1e-6
    layers = {name: module for name, module in rebuilt.named_modules() if isinstance(module, nn.Linear)}
    assert layers["second"].weight.shape == (3, 6)
    assert torch.equal(layers["second"].weight, model.second.t())


@pytest.mark.parametrize("decomposed", [False, True])
def test_weights_that_are_computed_from_parameters_are_folded(decomposed: bool) -> None:
    rows = torch.randn(2, 3, 8, 8)
    program = export(_Reparametrized().eval(), rows)
    program = program.run_decompositions() if decomposed else program
    rebuilt = rebuild(program)
    assert check_equal(program, rebuilt, (rows,)) <= 1e-6
    assert sum(isinstance(module, nn.Conv2d) for module in rebuilt.modules()) == 3
    assert kept_as_they_are(rebuilt) == []


@pytest.mark.parametrize("decomposed", [False, True])
def test_tables_and_bounds_of_parameters_stay(decomposed: bool) -> None:
    rows = torch.randn(2, 4, 8)
    program = export(_Tables().eval(), rows)
    program = program.run_decompositions() if decomposed else program
    rebuilt = rebuild(program)
    assert check_equal(program, rebuilt, (rows,)) <= 1e-6
    assert "clamp" in {kept.operator for kept in kept_as_they_are(rebuilt)} or decomposed


@pytest.mark.parametrize(
    ("form", "names"),
    [("tuple", ("output_0", "output_1")), ("dict", ("boxes", "scores")), ("class", ("boxes", "scores"))],
)
def test_several_outputs_come_in_their_order_with_names(form: str, names: tuple[str, ...], tmp_path: Path) -> None:
    rows = torch.randn(3, 4)
    torch.export.save(export(_Several(form).eval(), rows), tmp_path / "model.pt2")
    program = load_program(tmp_path / "model.pt2")
    rebuilt = rebuild(program)
    assert output_names(program) == names
    assert check_equal(program, rebuilt, (rows,)) == 0
    assert [tuple(output.shape) for output in rebuilt(rows)] == [(3, 4), (3, 4)]


@pytest.mark.parametrize(
    ("form", "name", "place"), [("tuple", "output_1", 1), ("dict", "scores", 1), ("class", "boxes", 0)]
)
def test_one_output_stays_with_what_it_needs(form: str, name: str, place: int, tmp_path: Path) -> None:
    rows = torch.randn(3, 4)
    program = export(_Several(form).eval(), rows)
    expected = rebuild(program)(rows)[place]
    with pytest.raises(IntakeError, match=r"expected a model with one output, got 2: .*`output` in the workload"):
        check_one_output(program)
    torch.export.save(keep_output(program, name), tmp_path / "cut.pt2")
    cut = load_program(tmp_path / "cut.pt2")
    check_one_output(cut)
    rebuilt = rebuild(cut)
    assert check_equal(cut, rebuilt, (rows,)) == 0
    assert torch.equal(rebuilt(rows), expected)


def test_an_output_that_is_not_there_is_named_with_those_that_are() -> None:
    program = export(_Several("dict").eval(), torch.randn(3, 4))
    with pytest.raises(IntakeError, match="expected an output of boxes, scores, got `masks`; correct `output`"):
        keep_output(program, "masks")


class _Unlike(nn.Module):
    """Outputs as language models return them, with places that hold nothing, or one of them under two names."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form, self.layer = form, nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Any:
        scores = self.layer(x)
        if self.form == "pair":
            return scores, None
        return {"loss": None, "logits": scores} if self.form == "dict" else {"one": scores, "same": scores, "x": x}


@pytest.mark.parametrize(("form", "name"), [("pair", "output_0"), ("dict", "logits"), ("dict", "output")])
def test_a_place_that_holds_nothing_is_no_output(form: str, name: str, tmp_path: Path) -> None:
    rows, model = torch.randn(3, 4), _Unlike(form).eval()
    torch.export.save(export(model, rows), tmp_path / "model.pt2")
    program = load_program(tmp_path / "model.pt2")
    check_one_output(program)
    assert output_names(program) == ("output",)
    for each in (program, keep_output(load_program(tmp_path / "model.pt2"), name)):
        rebuilt = rebuild(each)
        assert check_equal(each, rebuilt, (rows,)) == 0
        assert torch.equal(rebuilt(rows), model.layer(rows))


def test_an_output_under_two_names_can_be_kept_by_either() -> None:
    rows, model = torch.randn(3, 4), _Unlike("twice").eval()
    for name in ("one", "same"):
        program = keep_output(export(model, rows), name)
        check_one_output(program)
        assert torch.equal(rebuild(program)(rows), model.layer(rows))

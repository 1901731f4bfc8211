"""Comparison of a rebuilt model with the program that it came from, on real rows."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from model_compression.errors import IntakeError
from model_compression.intake.nodes import arguments, is_operator
from model_compression.intake.program import input_specs

_TRAINING_FLAGS = {"train": False, "training": False, "use_input_stats": False, "dropout_p": 0.0}
_SHOWN = 5


def check_equal(
    program: ExportedProgram, module: nn.Module, inputs: tuple[Tensor, ...], tolerance: float = 1e-5
) -> float:
    """Run both on the same rows; returns the largest absolute difference, divided by the program's largest output.

    Both run in evaluation mode: a program that was exported in training mode runs with its stored batch statistics and
    without dropout. Raises IntakeError for rows that do not fit the program's inputs, if an output is NaN, if the
    shapes differ, or if the difference is above `tolerance`.
    """
    _check_inputs(program, inputs)
    rows = len(inputs[0])
    expected = _outputs(_evaluating(program), inputs)
    got = _outputs(module, inputs)
    if len(expected) != len(got):
        raise IntakeError(
            f"expected {len(expected)} outputs as the program gives, got {len(got)} from the rebuilt model; give the "
            "workload a build_model() that returns the same architecture"
        )
    pairs = list(zip(expected, got, strict=True))
    for one, other in pairs:
        _check_comparable(one, other, rows)
    difference = max(_relative_difference(one, other) for one, other in pairs)
    if difference > tolerance:
        again = _outputs(_evaluating(program), inputs)
        is_random = any(not torch.equal(one, other) for one, other in zip(again, expected, strict=True))
        raise _unequal(difference, tolerance, rows, is_random=is_random)
    return difference


def _check_comparable(expected: Tensor, got: Tensor, rows: int) -> None:
    for name, output in (("registered program", expected), ("rebuilt model", got)):
        if output.isnan().any():
            bad = output.isnan().reshape(len(output) if output.dim() else 1, -1).any(1).nonzero().flatten().tolist()
            raise IntakeError(
                f"expected numbers, got NaN from the {name} in {len(bad)} of {rows} rows ({numbered(bad)}); "
                "check that the rows are prepared as the model's team does, and that its weights are finite"
            )
    if expected.shape != got.shape:
        raise IntakeError(
            f"expected outputs of shape {list(expected.shape)} as the program gives, got {list(got.shape)} from the "
            "rebuilt model; give the workload a build_model() that returns the same architecture"
        )


def numbered(rows: Sequence[int]) -> str:
    """Return the first numbers of some rows, for a message."""
    more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
    return f"rows {', '.join(str(row) for row in rows[:_SHOWN])}{more}, counted from 0"


def _unequal(difference: float, tolerance: float, rows: int, *, is_random: bool) -> IntakeError:
    remedy = "give the workload a build_model() that returns the same architecture"
    if is_random:
        remedy = (
            "the program's own outputs are random: call model.eval() before the model is registered, and let forward() "
            "draw numbers in training alone"
        )
    return IntakeError(
        f"expected the rebuilt model to equal the registered program to {tolerance:g} of its largest output, got "
        f"a difference of {difference:.3g} on {rows} rows; {remedy}"
    )


def _check_inputs(program: ExportedProgram, inputs: tuple[Tensor, ...]) -> None:
    specs = input_specs(program)
    fits = len(specs) == len(inputs) and all(
        spec.dtype == value.dtype
        and len(spec.shape) == value.dim()
        and all(size in (None, given) for size, given in zip(spec.shape, value.shape, strict=True))
        for spec, value in zip(specs, inputs, strict=True)
    )
    if not fits:
        wanted = ", ".join(f"{name} {dtype} {list(shape)}" for name, dtype, shape in specs)
        got = ", ".join(f"{value.dtype} {list(value.shape)}" for value in inputs)
        raise IntakeError(
            f"expected rows that fit the program's inputs ({wanted}; None is any size), got {got}; "
            "let the workload give them as the model's team does"
        )


def _relative_difference(expected: Tensor, got: Tensor) -> float:
    if not expected.numel():
        return 0.0
    # equal infinities (masked logits) would give NaN
    difference = torch.where(expected == got, 0.0, (expected - got).abs()).max()
    finite = expected[expected.isfinite()].abs()
    scale = finite.max().item() if finite.numel() else 0.0
    return float(difference) / (scale or 1.0)


def _outputs(module: nn.Module, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    with torch.no_grad(), evaluation_mode(module):
        output = module(*inputs)
    tensors = [leaf for leaf in pytree.tree_leaves(output) if isinstance(leaf, Tensor)]
    if not tensors:
        raise IntakeError("expected output tensors, got none; let forward() return the tensor that is scored")
    return [tensor.double() for tensor in tensors]


def _evaluating(program: ExportedProgram) -> fx.GraphModule:
    """Return the program as a module of its own, with every training flag off."""
    module = program.module(check_guards=False)
    for part in module.modules():
        part._buffers.update({name: value.clone() for name, value in part._buffers.items() if value is not None})
    for node in module.graph.nodes:
        if is_operator(node) and not _needs_batch_statistics(node):
            _switch_off(node)
    module.recompile()
    return module


def _needs_batch_statistics(node: fx.Node) -> bool:
    return "_norm" in str(node.target) and arguments(node).get("running_mean") is None


def _switch_off(node: fx.Node) -> None:
    for index, argument in enumerate(node.target._schema.arguments):  # type: ignore[union-attr]
        if argument.name in _TRAINING_FLAGS and index < len(node.args):
            node.update_arg(index, _TRAINING_FLAGS[argument.name])
        elif argument.name in node.kwargs and argument.name in _TRAINING_FLAGS:
            node.update_kwarg(argument.name, _TRAINING_FLAGS[argument.name])


@contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[None]:
    """Let a module and all of its parts be in evaluation mode, and then each in its own again."""
    training = [part for part in module.modules() if part.training]
    for part in training:
        part.training = False
    try:
        yield
    finally:
        for part in training:
            part.training = True

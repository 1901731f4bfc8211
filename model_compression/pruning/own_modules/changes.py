"""Units taken out of a module of code: its twin loses them, and the module follows."""

from collections.abc import Callable

from torch import Tensor, fx, nn

from model_compression.pruning.own_modules.answers import ProgramAnswers
from model_compression.pruning.own_modules.blocks import leave_out
from model_compression.pruning.own_modules.sizes import fit_sizes
from model_compression.pruning.own_modules.tensors import take_tensors
from model_compression.pruning.own_modules.twin import Twin, copied, copied_program, twin_of

ProgramRemoval = Callable[[fx.GraphModule], object]
"""A function that takes units out of a rebuilt program, in place."""


def change(model: nn.Module, example: tuple[Tensor, ...], removal: ProgramRemoval) -> None:
    """Take units out of a model, in place: a rebuilt program itself, or a module that follows its twin.

    Raises PruningError where the module does not answer as its twin does then; the module is then unusable.
    """
    if isinstance(model, fx.GraphModule):
        removal(model)
        return
    twin = twin_of(model, example)
    after = copied_program(twin.program)
    removal(after)
    folded = _follow(model, twin, after, example)
    twin.step(model, after, folded)


def try_change(model: nn.Module, example: tuple[Tensor, ...], removal: ProgramRemoval) -> None:
    """Take units out of copies of a module and of its twin. Raises PruningError as change() does, or the code's own."""
    twin = twin_of(model, example)
    after = copied_program(twin.program)
    removal(after)
    _follow(copied(model), twin, after, example)


def _follow(module: nn.Module, twin: Twin, after: fx.GraphModule, example: tuple[Tensor, ...]) -> list[str]:
    """Let a module lose what `after` has lost of its twin; returns the paths of weights that were folded."""
    answers = ProgramAnswers(after, example)
    leave_out(module, twin, after, example, answers)
    folded = take_tensors(module, twin, after)
    fit_sizes(module, twin, after, example, lambda: answers.difference(copied(module)))
    return folded

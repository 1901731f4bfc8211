"""Comparison of the answers of a module of code with those of its program."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from model_compression.errors import cause_of

TOLERANCE = 1e-3  # of the largest output: float kernels differ in summation order


class ProgramAnswers:
    """Answers of a program, which may write to its buffers, on the rows of an example and on the first of them.

    Both are there because code may have taken a size from the batch.
    """

    @torch.no_grad()
    def __init__(self, program: nn.Module, example: tuple[Tensor, ...]) -> None:
        batches = (example, tuple(each[:1] for each in example))
        self._expected = [(rows, _outputs(program, rows)) for rows in batches]

    @torch.no_grad()
    def difference(self, module: nn.Module) -> str:
        """Return in words how a module in evaluation mode answers otherwise; empty where both answer alike."""
        for rows, expected in self._expected:
            try:
                with without_fast_path():
                    got = _outputs(module, rows)
            except Exception as error:  # any error of the code is the difference
                return cause_of(error)
            shapes, wanted = ([list(each.shape) for each in outputs] for outputs in (got, expected))
            if shapes != wanted:
                return f"outputs of {shapes} in place of {wanted}"
            if not all(_alike(one, other) for one, other in zip(got, expected, strict=True)):
                return f"other values on {len(rows[0])} rows"
        return ""


@contextmanager
def without_fast_path() -> Iterator[None]:
    """Let torch's encoder layers run their own code, which is what an export writes down."""
    was = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was)


def _alike(got: Tensor, expected: Tensor) -> bool:
    """Tell whether outputs are equal up to the order of sums."""
    got, expected = got.double(), expected.double()
    finite = expected.isfinite()
    if not got.isfinite().equal(finite) or not torch.equal(got[~finite].nan_to_num(), expected[~finite].nan_to_num()):
        return False
    known = expected[finite]
    return not known.numel() or bool((got[finite] - known).abs().max() <= TOLERANCE * known.abs().max())


def _outputs(module: nn.Module, rows: tuple[Tensor, ...]) -> list[Tensor]:
    return [leaf for leaf in pytree.tree_leaves(module(*rows)) if isinstance(leaf, Tensor)]

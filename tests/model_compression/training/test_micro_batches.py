"""Batches in parts: none of a single row, halved when memory runs out, and other errors left alone."""

import pytest
import torch
from torch import Tensor

from model_compression.errors import TrainingError
from model_compression.training.batching import MicroBatches, is_out_of_memory

ON_THE_PROCESSOR = "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory"


def sizes(size: int, rows: int, fits: int = 10**9) -> tuple[list[int], int]:
    """The parts that went through, and how often the gradients were dropped."""
    micro_batches, seen, cleared = MicroBatches(size), [], []

    def clear() -> None:
        seen.clear()
        cleared.append(1)

    def backward(part: Tensor) -> float:
        if len(part) > fits:
            raise RuntimeError(ON_THE_PROCESSOR)
        seen.append(len(part))
        return len(part) / rows

    assert micro_batches.accumulate(torch.arange(rows), clear, backward) == pytest.approx(1)
    return seen, len(cleared)


@pytest.mark.parametrize(
    ("size", "rows", "parts"),
    [(8, 8, [8]), (8, 3, [3]), (4, 9, [3, 3, 3]), (2, 5, [3, 2]), (2, 3, [3]), (4, 8, [4, 4]), (3, 7, [3, 2, 2])],
)
def test_parts_are_even_and_none_has_one_row(size: int, rows: int, parts: list[int]) -> None:
    assert sizes(size, rows) == (parts, 1)


def test_parts_are_halved_until_they_fit_and_what_was_added_up_is_dropped() -> None:
    assert sizes(32, 32, fits=9) == ([8, 8, 8, 8], 3)


def test_two_rows_that_do_not_fit_are_an_error_with_a_remedy() -> None:
    with pytest.raises(TrainingError, match=r"expected 2 rows to fit .* can't allocate memory; train on a machine"):
        sizes(8, 8, fits=1)


def test_another_error_is_not_taken_for_memory() -> None:
    def fail(part: Tensor) -> float:
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        MicroBatches(8).accumulate(torch.arange(8), lambda: None, fail)


def test_the_processor_really_says_so() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 62, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)

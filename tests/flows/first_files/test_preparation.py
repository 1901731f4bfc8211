"""Ways from a saved array to rows of an input: the code does what the function does."""

from typing import Any

import numpy as np
import pytest

from flows.first_files.array_folder import FoundArray
from flows.first_files.preparation import preparations
from tasks.upstream import RegisteredInput

RANDOM = np.random.default_rng(0)


def ways(array: np.ndarray, dtype: str, *sizes: int | None) -> list[Any]:
    found = FoundArray("train.npz", "rows", array.shape, array.dtype)
    return list(preparations(found, RegisteredInput("image", dtype, sizes)))


@pytest.mark.parametrize(
    ("array", "dtype", "sizes", "count"),
    [
        (RANDOM.random((5, 3)).astype(np.float32), "float32", (3,), 1),
        (RANDOM.random((5, 3)), "float32", (3,), 1),
        (RANDOM.random((5, 4, 4)), "float32", (1, 4, 4), 1),
        (RANDOM.random((5, 4, 4)), "float32", (16,), 1),
        (RANDOM.integers(0, 255, (5, 4, 6, 3)).astype(np.uint8), "float32", (3, 4, 6), 3),
        (RANDOM.integers(0, 9, (5, 7)), "int64", (None,), 1),
        (RANDOM.integers(0, 9, (5, 7)).astype(np.int32), "int64", (7,), 1),
    ],
)
def test_the_code_of_a_way_does_what_the_way_does(
    array: np.ndarray, dtype: str, sizes: tuple[int | None, ...], count: int
) -> None:
    found = ways(array, dtype, *sizes)
    assert len(found) == count
    for way in found:
        made = way(array)
        assert str(made.dtype) == dtype and made.ndim == len(sizes) + 1
        assert np.array_equal(eval(way.code("array"), {"np": np, "array": array}), made)
        assert np.array_equal(eval(way.code('a["x"]'), {"np": np, "a": {"x": array}}), made)


def test_bytes_may_mean_other_values() -> None:
    array = np.array([[0, 255]], np.uint8)
    plain, to_one, around_zero = (way(array).tolist() for way in ways(array, "float32", 2))
    assert (plain, to_one, around_zero) == ([[0, 255]], [[0, 1]], [[-1, 1]])


@pytest.mark.parametrize(
    ("array", "dtype", "sizes"),
    [
        (np.zeros((5, 3)), "float32", (4,)),
        (np.zeros((5, 3)), "int64", (3,)),
        (np.zeros((5, 4, 4)), "float32", (3, 4, 4)),
        (np.array(["a", "b"]), "float32", ()),
    ],
)
def test_an_array_that_does_not_fit_has_no_way(array: np.ndarray, dtype: str, sizes: tuple[int, ...]) -> None:
    assert ways(array, dtype, *sizes) == []

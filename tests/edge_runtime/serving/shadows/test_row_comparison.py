"""The comparison of two versions' answers, row by row."""

import numpy as np
import pytest

from edge_runtime.serving.shadows import RowComparison, compare_rows


def f32(*rows: object) -> np.ndarray:
    return np.array(rows, np.float32)


def test_classes_agree_by_the_place_of_the_largest_value() -> None:
    served = {"y": f32([1, 2, 0], [5, 1, 1], [0, 0, 1])}
    beside = {"y": f32([1, 9, 0], [1, 5, 1], [0, 0, 3])}
    assert compare_rows(served, beside, 3, {"y": 1e-3}) == RowComparison(3, 2, 7.0)


def test_a_row_of_several_places_agrees_where_each_does() -> None:
    served = {"y": f32([[1, 0], [0, 1]], [[1, 0], [0, 1]])}
    beside = {"y": f32([[2, 0], [0, 2]], [[2, 0], [2, 0]])}
    assert compare_rows(served, beside, 2, {}).agreeing_rows == 1


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_values_agree_within_the_tolerance_of_their_output(shape: tuple[int, ...]) -> None:
    served, beside = ({"y": np.array(values, np.float32).reshape(shape)} for values in ([1, 2, 3], [1.5, 2.5, 4]))
    assert compare_rows(served, beside, 3, {"y": 0.5}) == RowComparison(3, 2, 1.0)


def test_without_a_tolerance_values_agree_within_a_thousandth() -> None:
    served, beside = {"y": f32([1000], [1000], [0])}, {"y": f32([1000.5], [1002], [0])}
    assert compare_rows(served, beside, 3, {}).agreeing_rows == 2


def test_whole_numbers_and_truths_agree_where_they_are_the_same_and_have_no_gap() -> None:
    served = {"label": np.array([[1, 2], [3, 4]]), "is": np.array([True, False])}
    beside = {"label": np.array([[1, 2], [4, 3]]), "is": np.array([True, False])}
    assert compare_rows(served, beside, 2, {}) == RowComparison(2, 1, 0.0)


def test_a_row_agrees_in_every_shared_output_and_others_do_not_count() -> None:
    served = {"a": f32([1], [1]), "b": f32([1], [1]), "c": f32([1], [1])}
    beside = {"a": f32([1], [1]), "b": f32([1], [7]), "d": f32([1], [1])}
    assert compare_rows(served, beside, 2, {}) == RowComparison(2, 1, 6.0)


@pytest.mark.parametrize("width", [1, 2])
def test_a_value_that_is_no_number_agrees_with_its_like_alone_and_is_no_gap(width: int) -> None:
    one, other = np.ones((4, width), np.float32), np.ones((4, width), np.float32)
    one[0, 0] = other[0, 0] = np.nan
    other[1, 0] = np.nan
    one[2, 0] = other[2, 0] = np.inf
    assert compare_rows({"y": one}, {"y": other}, 4, {"y": 0.1}) == RowComparison(4, 3, 0.0)


def test_another_shape_agrees_nowhere() -> None:
    assert compare_rows({"y": f32([1], [2])}, {"y": f32([1, 1], [2, 2])}, 2, {}) == RowComparison(2, 0, 0.0)


def test_an_output_without_rows_is_one_of_all_rows() -> None:
    served = {"y": f32([1], [1]), "sum": np.array(2, np.float32)}
    assert compare_rows(served, served, 2, {}).agreeing_rows == 2
    assert compare_rows(served, {**served, "sum": np.array(3, np.float32)}, 2, {}) == RowComparison(2, 0, 1.0)


def test_half_precision_is_compared_with_single() -> None:
    served, beside = {"y": f32([1, 2])}, {"y": np.array([[1, 2.5]], np.float16)}
    assert compare_rows(served, beside, 1, {}) == RowComparison(1, 1, 0.5)

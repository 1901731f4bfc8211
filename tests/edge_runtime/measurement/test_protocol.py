from pathlib import Path

import numpy as np
import pytest

from edge_runtime.errors import MeasurementFailed, SessionError
from edge_runtime.measurement.protocol import RowReader, RowWriter


@pytest.mark.parametrize("dtype", ["float32", "int64", "uint8", "bool"])
@pytest.mark.parametrize("shape", [(7,), (7, 3), (7, 2, 3)])
def test_rows_are_read_in_runs(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    np.save(tmp_path / "rows.npy", array)
    reader = RowReader(tmp_path / "rows.npy")
    assert reader.rows == 7
    for start, stop in ((0, 3), (3, 6), (6, 9)):
        rows = reader.read(start, stop)
        assert rows.dtype == array.dtype
        np.testing.assert_array_equal(rows, array[start:stop])


def test_what_is_written_in_batches_is_one_array(tmp_path: Path) -> None:
    array = np.arange(14, dtype=np.float32).reshape(7, 2)
    with RowWriter(tmp_path / "out.npy", "y", 7) as writer:
        for start in (0, 3, 6):
            batch = np.asfortranarray(array[start : start + 3])
            writer.append(batch, len(batch))
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), array)


def test_an_output_without_the_axis_of_rows_is_refused(tmp_path: Path) -> None:
    with RowWriter(tmp_path / "out.npy", "y", 4) as writer:
        with pytest.raises(SessionError, match=r"y has the shape \(1, 2\) for 2 rows"):
            writer.append(np.zeros((1, 2)), 2)
        with pytest.raises(SessionError, match=r"y has the shape \(\) for 2 rows"):
            writer.append(np.array(1.0), 2)


def test_rows_that_differ_in_kind_are_refused(tmp_path: Path) -> None:
    with RowWriter(tmp_path / "out.npy", "y", 4) as writer:
        writer.append(np.zeros((2, 3)), 2)
        with pytest.raises(SessionError, match="rows must be alike"):
            writer.append(np.zeros((2, 4)), 2)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_rows_that_are_not_finite_are_counted_over_all_batches(tmp_path: Path, dtype: str, broken: float) -> None:
    batch = np.zeros((4, 2, 3), dtype)
    batch[1, 0, 0] = batch[1, 1, 2] = batch[3, 0, 1] = broken
    with RowWriter(tmp_path / "out.npy", "depth", 12) as writer:
        for each in (np.zeros((4, 2, 3), dtype), batch, batch):
            writer.append(each, 4)
        with pytest.raises(MeasurementFailed, match=r"output depth: .* in 4 of 12 rows, first in row 5; look for"):
            writer.check_finite()


@pytest.mark.parametrize("dtype", ["float32", "int64", "uint8", "bool"])
def test_finite_rows_and_integers_are_no_failure(tmp_path: Path, dtype: str) -> None:
    with RowWriter(tmp_path / "out.npy", "y", 2) as writer:
        writer.append(np.full((2, 3), np.iinfo("int64").max).astype(dtype), 2)
        writer.check_finite()

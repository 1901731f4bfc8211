from pathlib import Path

import numpy as np
import pytest

from edge_runtime.errors import SessionError
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

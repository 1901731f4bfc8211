"""Outputs part by part: the same values as all at once, and never more of them in memory than is said."""

from pathlib import Path

import numpy as np
import pytest

from deployments.errors import ConfigurationError
from deployments.mapped import answered_at_once, outputs_in_parts, part_outputs, write_outputs

ROWS = (np.arange(50, dtype=np.float32).reshape(25, 2), np.ones((25, 1), dtype=np.float32))
MASK = (2, 4, 4)
BYTES_OF_ROW = 2 * 4 * 4 * 4


class Counting:
    """A model with masks as outputs that notes how many rows it is asked at once."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, rows: tuple[np.ndarray, ...]) -> np.ndarray:
        first, second = rows
        assert len(first) == len(second)
        self.asked.append(len(first))
        return np.broadcast_to(first.sum(axis=1)[:, None, None, None], (len(first), *MASK)).copy()


@pytest.mark.parametrize(("most", "largest"), [(1, 2), (4 * BYTES_OF_ROW, 4), (7 * BYTES_OF_ROW + 1, 7), (1 << 20, 25)])
def test_no_more_rows_are_answered_at_once_than_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, largest: int
) -> None:
    monkeypatch.setattr(part_outputs, "MOST_BYTES", most)
    model = Counting()
    written = write_outputs(tmp_path / "outputs.npy", model, ROWS)
    assert isinstance(written, np.memmap) and np.array_equal(written, Counting()(ROWS))
    assert np.array_equal(np.load(tmp_path / "outputs.npy"), written)
    assert max(model.asked) == largest and sum(model.asked) == 2 + 25  # the first rows say how large a row is
    assert np.array_equal(np.concatenate(list(outputs_in_parts(Counting(), ROWS))), written)


def test_two_rows_are_answered_once() -> None:
    model = Counting()
    (outputs,) = outputs_in_parts(model, tuple(array[:2] for array in ROWS))
    assert model.asked == [2] and len(outputs) == 2


def test_a_model_that_does_not_keep_the_rows_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"one output for each of 25 rows, got shape \(1, 2\)"):
        list(outputs_in_parts(lambda rows: rows[0][:1], ROWS))


def test_parts_are_views_in_order_and_nothing_is_one_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part_outputs, "MOST_BYTES", 3 * ROWS[0][:1].nbytes)
    parts = list(answered_at_once(ROWS[0]))
    assert [len(part) for part in parts] == [3] * 8 + [1] and all(np.shares_memory(part, ROWS[0]) for part in parts)
    assert [part.shape for part in answered_at_once(ROWS[0][:0])] == [(0, 2)]

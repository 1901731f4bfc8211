"""Sketches of rows: the same whatever the order, and honest about the share of rows that two splits have together."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from deployments.leaks import RowSketch, sketch_of
from deployments.leaks.row_sketch import SKETCHED
from deployments.rows import Split


def split(first: int = 0, rows: int = 100) -> Split:
    """Rows `first` to `first + rows` of one endless table, so that splits that overlap in it share rows."""
    numbers = np.arange(first, first + rows)
    slices = pd.DataFrame({"site": [f"site {number % 3}" for number in numbers], "shift": numbers % 2})
    return Split((np.stack([numbers, numbers**2], axis=1).astype(np.float32),), numbers % 5, slices)


def taken(rows: Split, order: np.ndarray) -> Split:
    return Split(tuple(array[order] for array in rows.inputs), rows.targets[order], rows.slices.iloc[order])


def share(one: Split, other: Split) -> float:
    return sketch_of(one).share_in(sketch_of(other))


def test_rows_in_another_order_are_the_same() -> None:
    order = np.random.default_rng(0).permutation(1000)
    assert sketch_of(taken(split(rows=1000), order)) == sketch_of(split(rows=1000))
    backwards = replace(split(), slices=split().slices[["shift", "site"]])
    assert sketch_of(backwards) == sketch_of(split())


@pytest.mark.parametrize("dtype", [object, "string", "category", "str"])
def test_text_is_the_same_in_every_dtype(dtype: Any) -> None:
    named = split().slices.assign(site=split().slices["site"].astype(dtype))
    other = replace(split(), slices=named)
    assert sketch_of(other) == sketch_of(split())
    assert other.digest == split().digest


def test_every_part_of_a_row_counts_for_the_digest_and_inputs_alone_for_the_share() -> None:
    changed = [
        replace(split(), targets=split().targets[::-1].copy()),
        replace(split(), slices=split().slices.assign(shift=0)),
        replace(split(), slices=split().slices.assign(line=1)),
        replace(split(), slices=split().slices.rename(columns={"site": "place"})),
    ]
    assert len({sketch_of(each).digest for each in [split(), *changed]}) == 5
    assert [share(split(), each) for each in changed] == [1.0] * 4


def test_the_share_of_few_rows_is_exact() -> None:
    assert share(split(0, 100), split(0, 99)) == 0.99
    assert share(split(0, 100), split(40, 200)) == 0.6
    assert share(split(0, 200), split(0, 100)) == 0.5  # of one's own rows: the other has all of its rows here
    assert share(split(0, 100), split(0, 200)) == 1.0
    assert share(split(0, 100), split(100, 100)) == 0.0


def test_all_rows_and_none_are_told_exactly_whatever_their_number() -> None:
    assert share(split(0, 3000), split(0, 20_000)) == 1.0
    assert share(split(0, 3000), split(3000, 20_000)) == 0.0


@pytest.mark.parametrize("true", [0.05, 0.3, 0.5, 0.9])
def test_the_share_of_many_rows_is_estimated_without_bias_and_within_its_error(true: float) -> None:
    """Sketches of random digests, as those of rows are, for 400 pairs of splits."""
    draws, rows = np.random.default_rng(3), 2000
    found = []
    for _ in range(400):
        digests = [f"{digest:012x}" for digest in draws.integers(0, 2**48, 2 * rows)]
        one, other = digests[:rows], digests[round((1 - true) * rows) :][:rows]
        sketches = [RowSketch(str(at), tuple(sorted(each)[:SKETCHED])) for at, each in enumerate((one, other))]
        found.append(sketches[0].share_in(sketches[1]))
    error = np.sqrt(true * (1 - true) / SKETCHED)
    assert abs(np.mean(found) - true) < 4 * error / 20
    assert np.std(found) < 1.15 * error


def test_a_sketch_is_read_as_it_was_written() -> None:
    sketch = sketch_of(split(rows=2000))
    assert len(sketch.smallest) == SKETCHED and len(sketch.text) < 5000
    assert RowSketch.read(sketch.digest, sketch.text) == sketch


@pytest.mark.parametrize("text", ["", "abc", "x" * 24, "b" * 12 + "a" * 12])
def test_another_text_is_no_sketch(text: str) -> None:
    with pytest.raises(ValueError):
        RowSketch.read("digest", text)

import pandas as pd
import pytest

from quality_gates.errors import EvidenceError
from quality_gates.evidence.checked_rows import MOST_VALUES, flipped_rows, slice_table
from tests.quality_gates.builders import rows


def test_only_rows_that_the_reference_had_right_are_negative_flips() -> None:
    candidate, reference = rows(30, wrong=[2, 8, 18]), rows(30, wrong=[2, 5])
    expected = pd.DataFrame(
        {
            "row_id": [8, 18],
            "label": [8, 8],
            "site": ["north", "north"],
            "reference_prediction": [8, 8],
            "candidate_prediction": [9, 9],
        }
    )
    pd.testing.assert_frame_equal(flipped_rows(candidate, reference.iloc[::-1]), expected)


def test_no_flip_leaves_an_empty_table_with_its_columns() -> None:
    flips = flipped_rows(rows(30), rows(30, wrong=[4]))
    assert flips.empty
    assert list(flips.columns) == ["row_id", "label", "site", "reference_prediction", "candidate_prediction"]


def test_damaged_rows_have_no_flips() -> None:
    with pytest.raises(EvidenceError, match="not measured on the same rows"):
        flipped_rows(rows(30), rows(29))


def test_slice_table_has_a_line_per_value_and_model() -> None:
    table = slice_table({"parent": rows(40), "candidate": rows(40, wrong=[8, 18, 7])}, ["label", "site"])
    assert list(table.columns) == ["column", "value", "model", "n", "accuracy"]
    assert len(table) == 2 * (10 + 2)
    found = {(line.column, line.value, line.model): (line.n, line.accuracy) for line in table.itertuples()}
    assert found["label", 8, "candidate"] == (4, 0.5)
    assert found["label", 8, "parent"] == (4, 1.0)
    assert found["site", "north", "candidate"] == (20, 0.9)
    assert found["site", "south", "candidate"] == (20, 0.95)


def test_rows_without_a_value_are_a_slice_too() -> None:
    frame = rows(10, wrong=[3])
    frame.loc[[3, 4], "site"] = None
    table = slice_table({"candidate": frame}, ["site"])
    assert table["n"].sum() == 10
    assert table.loc[table["value"].isna(), "accuracy"].tolist() == [0.5]


def test_a_column_of_many_values_is_one_line_that_says_so() -> None:
    few, many = (rows(100, wrong=[1]).assign(sensor=range(100)) for _ in range(2))
    few["sensor"] %= MOST_VALUES
    many["sensor"] %= MOST_VALUES + 1
    assert len(slice_table({"candidate": few}, ["sensor"])) == MOST_VALUES
    (line,) = slice_table({"candidate": many}, ["sensor"]).itertuples()
    assert (line.value, line.n, line.accuracy) == ("21 values, too many to list", 100, 0.99)


@pytest.mark.parametrize("column", ["sensor", "score"])
def test_a_column_that_is_no_slice_is_refused_by_name(column: str) -> None:
    with pytest.raises(EvidenceError, match=f"parent has no slice column '{column}'"):
        slice_table({"parent": rows(10)}, [column])


def test_damaged_rows_have_no_slices() -> None:
    with pytest.raises(EvidenceError, match="10 of 10 of the candidate's scores"):
        slice_table({"candidate": rows(10).assign(score=float("nan"))}, ["label"])

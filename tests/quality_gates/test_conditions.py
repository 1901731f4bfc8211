import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from quality_gates.errors import EvidenceError
from quality_gates.evidence import SliceIndex, in_slice
from quality_gates.policy import SliceCondition

FRAME = pd.DataFrame(
    {"heat": [1.0, 5.0, 10.0, 20.0], "site": ["n", "s", "n", "s"], "night": [True, False, True, False]}
)


@pytest.mark.parametrize(
    ("condition", "rows", "words"),
    [
        ({"column": "site", "in": ["n", "x"]}, [0, 2], "site in n, x"),
        ({"column": "heat", "from": 5, "to": 20}, [1, 2], "heat from 5 to 20"),
        ({"column": "heat", "above": 5}, [2, 3], "heat above 5"),
        ({"column": "heat", "below": 10}, [0, 1], "heat below 10"),
        (
            {"all": [{"column": "site", "equals": "n"}, {"column": "heat", "above": 5}]},
            [2],
            "site = n and heat above 5",
        ),
        ({"column": "night", "equals": True}, [0, 2], "night = True"),
    ],
)
def test_a_condition_finds_its_rows_and_says_what_it_is(
    condition: dict[str, object], rows: list[int], words: str
) -> None:
    read = SliceCondition.model_validate(condition)
    assert np.flatnonzero(in_slice(FRAME, read)).tolist() == rows
    assert str(read) == words
    assert SliceCondition.model_validate_json(read.model_dump_json(by_alias=True)) == read
    assert SliceCondition.model_validate_json(read.model_dump_json()) == read


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"column": "site"},
        {"column": "site", "equals": 1, "in": [1]},
        {"column": "site", "equals": 1, "above": 0},
        {"column": "heat", "from": 5, "to": 5},
        {"column": "heat", "in": []},
        {"column": "heat", "above": "5"},
        {"all": [{"column": "site", "equals": 1}]},
        {"all": [{"column": "site", "equals": 1}, {"column": "heat", "above": 1}], "column": "site"},
        {"column": "heat", "above": float("nan")},
    ],
)
def test_a_condition_that_says_nothing_or_two_things_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SliceCondition.model_validate(wrong)


def test_bounds_on_what_holds_no_numbers_are_damage() -> None:
    for column in ("site", "night"):
        with pytest.raises(EvidenceError, match="bounds need numbers"):
            in_slice(FRAME, SliceCondition(column=column, above=0.0))


def test_conditions_that_hold_apart_but_never_together_find_no_row() -> None:
    crossed = SliceCondition(all=(SliceCondition(column="site", equals="n"), SliceCondition(column="heat", above=10.0)))
    with pytest.raises(EvidenceError, match="No row has site = n and heat above 10"):
        in_slice(FRAME, crossed)


def test_a_metric_of_a_slice_has_a_name_that_stores_take() -> None:
    assert SliceCondition(column="label", equals=8).key == "label_8"
    assert SliceCondition.model_validate({"column": "heat", "start": 1.5, "stop": 3.0}).key == "heat_from_1.5_to_3"


def test_a_column_of_mixed_types_tells_them_apart() -> None:
    mixed = SliceIndex(pd.DataFrame({"kind": [1, True, "1", 1.0]}))
    assert np.flatnonzero(mixed.mask(SliceCondition(column="kind", equals=1))).tolist() == [0, 3]
    assert np.flatnonzero(mixed.mask(SliceCondition(column="kind", equals=True))).tolist() == [1]

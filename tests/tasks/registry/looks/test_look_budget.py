"""The budget of looks: what counts, what it spent, and that a total once stated only a grant makes larger."""

from dataclasses import replace
from typing import Any

import pytest

from tasks.registry import Grant, LookBudget, Spending, TakenLook, spent

TWENTY = Spending(0.0025, 0.05)
FREE = Spending(0.05)


def look(key: str, number: int | None = None, **changes: Any) -> TakenLook:
    told = TakenLook(
        run=key, key=key, started=0, number=number, claim=None, spending=TWENTY, split="here", rows=1.0, said={},
        attempts=(), outcome="pass",
    )  # fmt: skip
    return replace(told, **changes)


def budget(*looks: TakenLook, spending: Spending = TWENTY, grants: tuple[Grant, ...] = ()) -> LookBudget:
    return LookBudget(looks, grants, spending, "here")


def taken(count: int, **changes: Any) -> list[TakenLook]:
    return [look(f"taken {number}", number, **changes) for number in range(1, count + 1)]


def test_looks_have_room_until_the_total_is_spent() -> None:
    assert budget(*taken(19)).has_room("next") and budget(*taken(19)).next_number("next") == 20
    assert not budget(*taken(20)).has_room("next")
    assert budget(*taken(20)).allowed("next") == 20
    assert budget(*taken(20)).has_room("taken 7")  # its own look is no other's


def test_withheld_looks_and_looks_at_other_rows_spend_nothing() -> None:
    elsewhere = [replace(each, split="there", rows=0.5) for each in taken(20)]
    few = budget(*elsewhere, *(look(f"withheld {number}") for number in range(20)))
    assert (few.others("next"), few.next_number("next"), few.allowed("next")) == ([], 1, 20)
    assert few.near(0.05) == 0.5


def test_looks_at_a_split_of_largely_the_same_rows_count() -> None:
    elsewhere = [replace(each, split="there", rows=0.51) for each in taken(20)]
    assert not budget(*elsewhere).has_room("next")
    assert not budget(*elsewhere).has_room("taken 7")  # the same key at other rows is another look
    assert budget(*elsewhere).near(0.05) == 0.0


def test_a_claim_counts_until_it_is_given_up() -> None:
    claimed = [*taken(19), look("claims", claim=20)]
    assert not budget(*claimed).has_room("next")
    assert budget(*claimed).has_room("claims")
    assert not budget(*claimed).is_free("next", 20) and budget(*claimed).is_free("claims", 20)


@pytest.mark.parametrize("later", [FREE, Spending(0.025, 0.5), Spending(0.0005, 0.5)])
def test_a_total_that_was_stated_stays_whatever_a_later_recipe_says(later: Spending) -> None:
    worn = budget(*taken(20), spending=later)
    assert worn.stated_total() == 0.05
    assert not worn.has_room("next")


def test_looks_at_a_higher_level_spend_more_of_the_total() -> None:
    half = budget(*taken(10), spending=Spending(0.01, 0.05))
    assert half.left("next") == pytest.approx(0.025)
    assert half.allowed("next") == 12
    free = budget(*taken(1, spending=FREE))  # the one look at the gates' own confidence spent all of it
    assert not free.has_room("next")


def test_without_a_total_there_is_always_room() -> None:
    many = budget(*taken(100, spending=FREE), spending=FREE)
    assert (many.total(), many.allowed("next"), many.has_room("next")) == (None, None, True)
    assert spent(many.others("next")) == pytest.approx(5.0)


def test_a_grant_adds_its_looks_at_their_own_level() -> None:
    granted = budget(*taken(20), grants=(Grant(2, 0.0025, "Ada", "spring"),))
    assert granted.total() == pytest.approx(0.055) and granted.allowed("next") == 22
    larger = budget(*taken(20), spending=Spending(0.01, 0.05), grants=(Grant(2, 0.0025, "Ada", "spring"),))
    assert not larger.has_room("next")  # two small looks are no large one

"""Keys of wanted runs: two share one only where nothing but the words of their cause differs."""

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.planning import WantedRun

TEXT = st.text(max_size=12) | st.sampled_from(['", "', "1", "", "a\\", "\ud800", "é", "e\u0301"])
RUNS = st.builds(WantedRun, TEXT, TEXT, TEXT, TEXT, TEXT, st.booleans(), st.booleans())
DECIDING = [field.name for field in fields(WantedRun) if field.name not in {"cause", "devices"}]


def identity(wanted: WantedRun) -> list[object]:
    return [getattr(wanted, name) for name in DECIDING]


@given(one=RUNS, other=RUNS)
def test_no_two_different_runs_share_a_key(one: WantedRun, other: WantedRun) -> None:
    assert (one.key == other.key) == (identity(one) == identity(other))


@given(wanted=RUNS, at=st.integers(0, 12), place=st.sampled_from([("model", "version"), ("recipe", "mark")]))
def test_text_that_moves_from_one_part_to_the_next_is_another_run(
    wanted: WantedRun, at: int, place: tuple[str, str]
) -> None:
    first, second = place
    joined = getattr(wanted, first) + getattr(wanted, second)
    parts: dict[str, Any] = {first: joined[:at], second: joined[at:]}
    moved = replace(wanted, **parts)
    assert (moved.key == wanted.key) == (identity(moved) == identity(wanted))


@pytest.mark.parametrize("name", DECIDING)
def test_each_part_counts(name: str) -> None:
    wanted = WantedRun("m", "1", "r", "asked", "new")
    changed: dict[str, Any] = {name: True if name in ("again", "back") else "other"}
    assert replace(wanted, **changed).key != wanted.key
    assert replace(wanted, cause="asked otherwise").key == wanted.key

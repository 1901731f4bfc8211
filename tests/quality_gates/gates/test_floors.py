"""Floors: on a first release, a critical slice without a limit is inconclusive; the recipe can accept that."""

from typing import Any

import pytest

from quality_gates.gates import Floors, Gate, GateKind, GatePolicy, decide, shown_of, without_floor
from quality_gates.policy import SliceCondition
from quality_gates.verdict import Verdict
from tests.quality_gates.builders import against, eights, evidence, model, rows

EIGHT = SliceCondition(column="label", equals=8)
NORTH = SliceCondition(column="site", equals="north")
FLOOR = {"kind": "limit", "name": "f", "metric": "accuracy", "at_least": 0.5, "confidence": 0.95}
EIGHTS = FLOOR | {"slice": {"column": "label", "equals": 8}}
NONE_RIGHT = model(rows(200, wrong=range(8, 200, 10)))  # every row of label 8 is wrong


def gates(*keys: dict[str, Any]) -> tuple[GateKind, ...]:
    return GatePolicy.model_validate({"gates": [against().model_dump(), *keys]}).gates


def first(candidate: Any = None) -> Any:
    """Evidence of a first release, whose parent is as bad as the candidate."""
    known = candidate or model()
    return type(evidence())(known, known, None)


def test_a_first_release_without_a_floor_is_inconclusive_and_says_what_it_is_worth() -> None:
    policy = GatePolicy(gates=(against(), eights("parent"), Floors(slices=(EIGHT,))))
    verdict = decide(policy, first(NONE_RIGHT))
    assert [gate.outcome for gate in verdict.gates] == ["pass", "pass", "inconclusive"]  # the parent is as bad
    assert verdict.outcome == "inconclusive"
    result = verdict.gates[-1]
    assert (result.slice, result.candidate_value, result.n, result.blocking) == ("label = 8", 0.0, 20, True)
    assert "no limit says what is enough where label = 8; the candidate has 0.0 %" in result.sentence
    assert result.remedy is not None and "`first: accept`" in result.remedy


def test_the_worst_of_several_slices_is_shown() -> None:
    result = Floors(slices=(NORTH, EIGHT)).evaluate(first(NONE_RIGHT))
    assert (result.slice, result.candidate_value) == ("label = 8", 0.0)
    assert "site = north; label = 8" in result.sentence


def test_a_recipe_can_accept_it_with_a_warning() -> None:
    result = Floors(slices=(EIGHT,), on_inconclusive="warn").evaluate(first())
    assert (result.outcome, result.blocking) == ("inconclusive", False)


def test_where_a_release_passed_there_is_something_to_compare_with() -> None:
    assert Floors(slices=(EIGHT,)).evaluate(evidence(deployed=NONE_RIGHT)).outcome == "pass"


def test_answers_that_are_missing_pass_no_gate_on_floors() -> None:
    broken = model(rows(200).drop(columns="score"))
    assert Floors(slices=(EIGHT,)).evaluate(first(broken)).outcome == "fail"


@pytest.mark.parametrize(
    ("floor", "holds"),
    [
        (EIGHTS, True),
        (EIGHTS | {"metric": "recall", "of": 8, "slice": None}, True),  # the recall of a class is its slice's accuracy
        (EIGHTS | {"metric": "recall", "of": 7, "slice": None}, False),
        (EIGHTS | {"slice": None}, False),  # all rows
        (EIGHTS | {"slice": {"column": "label", "equals": 7}}, False),
        (EIGHTS | {"on_inconclusive": "warn"}, False),  # few rows would pass it
        ({"kind": "limit", "name": "f", "resource": "size_bytes", "at_most": 1.0}, False),
    ],
)
def test_a_floor_is_a_limit_on_a_metric_of_that_slice_which_binds(floor: dict[str, Any], holds: bool) -> None:
    assert without_floor(gates(floor), [EIGHT]) == (() if holds else (EIGHT,))


def test_a_policy_with_it_survives_json_and_is_planned_and_shown() -> None:
    policy = GatePolicy(gates=(Floors(slices=(EIGHT,)),))
    assert GatePolicy.model_validate_json(policy.model_dump_json()) == policy
    assert shown_of("floors").allowed == "above"
    assert not shown_of("floors").difference


def test_a_plan_says_that_a_first_release_cannot_pass() -> None:
    line = Floors(slices=(EIGHT,)).plan(None)  # type: ignore[arg-type]  # it looks at no row
    assert line.answer == "no: a first release has no limit where label = 8" and not line.decidable


def test_a_person_can_answer_for_it() -> None:
    from quality_gates.approval import undecided_gates

    assert undecided_gates(Verdict.of((Floors(slices=(EIGHT,)).evaluate(first()),))) == ()


def test_no_recipe_writes_it() -> None:
    assert "floors" not in str(Gate)

"""Floors: on a first release, a critical slice without a limit is inconclusive; the recipe can accept that."""

from typing import Any

import pytest
from pydantic import ValidationError

from quality_gates.evidence import KnownClasses, SliceIndex
from quality_gates.gates import Floors, Gate, GateKind, GatePolicy, critical_slices, decide, shown_of, without_floor
from quality_gates.gates.planning import PlannedRows
from quality_gates.policy import SliceCondition
from quality_gates.verdict import Verdict
from tests.quality_gates.builders import against, eights, evidence, model, rows

EIGHT = SliceCondition(column="label", equals=8)
NORTH = SliceCondition(column="site", equals="north")
FLOOR = {"kind": "limit", "name": "f", "metric": "accuracy", "at_least": 0.5, "confidence": 0.95}
EIGHTS = FLOOR | {"slice": {"column": "label", "equals": 8}}
NONE_RIGHT = model(rows(200, wrong=range(8, 200, 10)))  # every row of label 8 is wrong


GATE = {"kind": "non_inferiority", "name": "g", "metric": "accuracy", "against": "parent", "margin": 0.1,
        "confidence": 0.95}  # fmt: skip
OF_8 = SliceCondition.of_class(8)
LABELLED = rows(200).assign(target=rows(200)["label"])
INDEX = SliceIndex(LABELLED)


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
    ("floor", "bare"),
    [
        (EIGHTS, ()),
        (EIGHTS | {"slice": {"column": "label", "in": [8]}}, ()),
        (EIGHTS | {"metric": "recall", "of": 8}, ()),  # of rows of label 8, those of class 8 are all
        (EIGHTS | {"metric": "recall", "of": 8, "slice": None}, ()),  # the recall of a class is its slice's accuracy
        (EIGHTS | {"metric": "f1", "of": 8, "slice": None}, ()),
        (EIGHTS | {"metric": "recall", "of": 7, "slice": None}, (EIGHT,)),
        (EIGHTS | {"metric": "precision", "of": 8, "slice": None}, (EIGHT, OF_8)),  # of a model that hardly says 8
        (EIGHTS | {"metric": "auroc", "of": 8, "slice": None}, (EIGHT, OF_8)),
        (EIGHTS | {"slice": None}, (EIGHT,)),  # all rows
        (EIGHTS | {"slice": {"column": "label", "equals": 7}}, (EIGHT,)),
        (EIGHTS | {"slice": {"column": "label", "equals": "8"}}, (EIGHT,)),
        (EIGHTS | {"on_inconclusive": "warn"}, (EIGHT,)),  # few rows would pass it
        ({"kind": "limit", "name": "f", "resource": "size_bytes", "at_most": 1.0}, (EIGHT,)),
    ],
)
def test_a_floor_is_a_limit_on_a_metric_of_those_rows_which_binds(
    floor: dict[str, Any], bare: tuple[SliceCondition, ...]
) -> None:
    assert without_floor(gates(eights("parent").model_dump(), floor), INDEX) == bare


@pytest.mark.parametrize(
    ("gate", "critical"),
    [
        (GATE | {"metric": "recall", "of": 8}, OF_8),
        (GATE | {"metric": "f1", "of": 8}, OF_8),
        (GATE | {"metric": "precision", "of": 8, "against": "deployed"}, OF_8),
        (GATE | {"metric": "auroc", "of": 8, "on_inconclusive": "warn"}, OF_8),
        (GATE | {"metric": "recall", "of": 8, "slice": EIGHT}, SliceCondition.of_class(8, EIGHT)),
        (GATE | {"metric": "macro_f1", "slice": NORTH}, NORTH),
        ({"kind": "flips", "name": "g", "at_most": 0.1, "confidence": 0.95, "slice": EIGHT}, EIGHT),
        ({"kind": "calibration", "name": "g", "metric": "brier", "at_most": 0.3, "confidence": 0.95, "slice": EIGHT},
         EIGHT),
        (FLOOR | {"metric": "precision", "of": 8}, OF_8),
        (FLOOR | {"metric": "recall", "of": 8, "on_inconclusive": "warn"}, None),  # it only shows
        ({"kind": "plausibility", "name": "g", "metric": "accuracy", "gain_at_most": 0.1, "confidence": 0.95,
          "slice": EIGHT}, None),
        (GATE, None),
    ],
)  # fmt: skip
def test_critical_is_what_a_gate_compares_or_limits_by_itself(
    gate: dict[str, Any], critical: SliceCondition | None
) -> None:
    found = critical_slices(gates(gate))
    assert found == (() if critical is None else (critical,))
    if critical is not None and gate.get("kind") != "limit":
        assert without_floor(gates(gate), INDEX) == found


def test_the_same_slice_in_other_words_is_critical_once() -> None:
    crossed = [{"all": [EIGHT, NORTH]}, {"all": [NORTH, {"column": "label", "in": [8]}]}]
    asked = [GATE | {"name": f"g{place}", "slice": condition} for place, condition in enumerate(crossed)]
    assert critical_slices(gates(*asked)) == (SliceCondition.model_validate(crossed[0]),)
    assert without_floor(gates(asked[0], FLOOR | {"slice": crossed[1]})) == ()


def test_rows_tell_that_another_column_is_the_right_answer() -> None:
    by_metric = gates(GATE | {"metric": "recall", "of": 8}, EIGHTS)
    assert without_floor(by_metric) == (OF_8,)  # the words alone do not
    assert without_floor(by_metric, INDEX) == ()
    other = SliceIndex(LABELLED.assign(label=LABELLED["label"].where(LABELLED.index != 8, 7)))
    assert without_floor(by_metric, other) == (OF_8,)  # one row of class 8 has another label


def test_a_class_without_a_floor_is_inconclusive_and_rows_in_other_words_hold_it() -> None:
    bad = model(LABELLED.assign(score=(LABELLED["label"] != 8).astype(int), prediction=LABELLED["label"] % 8))
    result = Floors(slices=(OF_8,)).evaluate(first(bad))
    assert (result.outcome, result.slice, result.candidate_value) == ("inconclusive", "target = 8", 0.0)
    held = Floors(slices=(OF_8,), held=(NORTH, EIGHT)).evaluate(first(bad))
    assert held.outcome == "pass" and "no row of target = 8 is here that no limit holds" in held.sentence


def test_a_class_without_rows_fails_a_first_release_and_no_later_one() -> None:
    eleven = Floors(slices=(SliceCondition.of_class(11),))
    known = model(LABELLED)
    result = eleven.evaluate(first(known))
    assert result.outcome == "fail" and "No row has target = 11" in result.sentence
    assert eleven.evaluate(evidence(known, known, known)).outcome == "pass"


@pytest.mark.parametrize("least", [0, -1.0])
def test_a_share_that_every_model_has_is_no_limit(least: float) -> None:
    with pytest.raises(ValidationError, match=r"expected `at_least` above 0, as every model has a share of 0 or more"):
        gates(EIGHTS | {"at_least": least})


def test_a_policy_with_it_survives_json_and_is_planned_and_shown() -> None:
    policy = GatePolicy(gates=(Floors(slices=(EIGHT,)),))
    assert GatePolicy.model_validate_json(policy.model_dump_json()) == policy
    assert shown_of("floors").allowed == "above"
    assert not shown_of("floors").difference


def test_a_plan_says_that_a_first_release_cannot_pass() -> None:
    test = PlannedRows(LABELLED, INDEX, 0.02, KnownClasses())
    line = Floors(slices=(EIGHT,)).plan(test)
    assert line.answer == "no: a first release has no limit where label = 8" and not line.decidable
    assert Floors(slices=(OF_8,), held=(EIGHT,)).plan(test).answer == "not a matter of rows"


def test_a_person_can_answer_for_it() -> None:
    from quality_gates.approval import undecided_gates

    assert undecided_gates(Verdict.of((Floors(slices=(EIGHT,)).evaluate(first()),))) == ()


def test_no_recipe_writes_it() -> None:
    assert "floors" not in str(Gate)

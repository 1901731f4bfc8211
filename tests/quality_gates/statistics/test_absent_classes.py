"""Classes without a row: a metric that is also about one is inconclusive, on all rows and on a slice."""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest

from quality_gates.evidence import Evidence, KnownClasses
from quality_gates.gates import GatePolicy, plan, unseen_classes
from quality_gates.policy import SliceCondition
from quality_gates.verdict import GateResult
from tests.quality_gates.classed import CLASSES, answers, seen
from tests.quality_gates.gates.every_kind import held

AVERAGED: list[dict[str, Any]] = [
    {"metric": "macro_f1"},
    {"metric": "balanced_accuracy"},
    {"metric": "precision", "of": "crack"},
    {"metric": "f1", "of": "crack"},
    {"metric": "auroc", "of": "crack"},
]
NORTH = {"column": "site", "equals": "north"}
OTHERS = pd.DataFrame({"target": [*CLASSES, "scratch"] * 12, "site": ["north", "south"] * 24})


def gate(chosen: dict[str, Any], **more: Any) -> dict[str, Any]:
    asked = {"kind": "non_inferiority", "against": "parent", "margin": 0.1, "confidence": 0.95}
    return asked | chosen | more


def decided(chosen: dict[str, Any], evidence: Evidence, splits: tuple[pd.DataFrame, ...] = (OTHERS,)) -> GateResult:
    return held(chosen, dataclasses.replace(evidence, classes=KnownClasses(splits)))


@pytest.mark.parametrize("chosen", AVERAGED, ids=lambda chosen: chosen["metric"])
def test_a_metric_that_is_also_about_a_class_without_rows_is_inconclusive(chosen: dict[str, Any]) -> None:
    result = decided(gate(chosen), seen(answers()))
    assert result.outcome == "inconclusive" and result.blocking and result.remedy
    assert (
        "'scratch', of which there is none among these 600 rows; another split has 12 of 'scratch'" in result.sentence
    )
    assert decided(gate(chosen), seen(answers()), (OTHERS[OTHERS["target"] != "scratch"],)).outcome == "pass"
    assert not decided(gate(chosen, on_inconclusive="warn"), seen(answers())).blocking


@pytest.mark.parametrize("kind", [
    {"kind": "limit", "metric": "macro_f1", "at_least": 0.5, "confidence": 0.95},
    {"kind": "plausibility", "metric": "balanced_accuracy", "gain_at_most": 0.1, "confidence": 0.95},
])  # fmt: skip
def test_every_kind_with_such_a_metric_says_so(kind: dict[str, Any]) -> None:
    assert decided(kind, seen(answers())).outcome == "inconclusive"


def test_recall_is_about_its_own_class_alone_and_accuracy_about_none() -> None:
    assert decided(gate({"metric": "recall", "of": "crack"}), seen(answers())).outcome == "pass"
    assert decided(gate({"metric": "accuracy"}), seen(answers())).outcome == "pass"
    assert decided(gate({"metric": "recall", "of": "scratch"}), seen(answers())).outcome == "inconclusive"
    unheard = decided(gate({"metric": "recall", "of": "hole"}), seen(answers()))
    assert unheard.outcome == "fail" and "Correct `of`" in str(unheard.remedy)


def test_a_candidate_that_lost_a_class_does_not_pass_because_no_row_shows_it() -> None:
    """The case that was published: the rare class has no test row, and each average looks away from it."""
    rare = answers().assign(target=lambda rows: rows["target"].where(np.arange(600) >= 12, "scratch"))
    without = answers()[12:]
    assert decided(gate({"metric": "macro_f1"}), seen(without, without), (rare,)).outcome == "inconclusive"


@pytest.mark.parametrize("chosen", AVERAGED, ids=lambda chosen: chosen["metric"])
def test_a_slice_is_about_the_classes_that_occur_in_it(chosen: dict[str, Any]) -> None:
    only_south = OTHERS.assign(site=np.where(OTHERS["target"] == "scratch", "south", OTHERS["site"]))
    both = pd.concat([only_south, only_south.assign(site="north")[only_south["target"] != "scratch"]])
    assert decided(gate(chosen, slice=NORTH), seen(answers()), (both,)).outcome == "pass"
    assert decided(gate(chosen), seen(answers()), (both,)).outcome == "inconclusive"
    assert decided(gate(chosen, slice=NORTH), seen(answers()), (OTHERS.assign(site="north"),)).outcome == "inconclusive"


@pytest.mark.parametrize("split", [OTHERS[["target"]], OTHERS.assign(heat="warm")])
def test_a_split_that_cannot_say_which_rows_are_in_the_slice_may_have_all_its_classes_there(
    split: pd.DataFrame,
) -> None:
    hot = {"column": "heat", "above": 2.0}
    assert decided(gate(AVERAGED[0], slice=hot), seen(answers()), (split,)).outcome == "inconclusive"


def test_known_classes_are_counted_in_the_words_of_predictions() -> None:
    numbers = pd.DataFrame({"target": np.array([0, 1, 1, 7])})
    known = KnownClasses((numbers, numbers[:2], numbers.assign(target=[np.nan, 1, 1, 1]))).on(None)
    assert known == {0: 1, 1: 3, 7: 1} and all(type(value) is not np.int64 for value in known)
    assert KnownClasses().on(None) == {}
    assert KnownClasses((OTHERS,)).on(SliceCondition(column="site", equals="west")) == {}


@pytest.mark.parametrize("chosen", AVERAGED, ids=lambda chosen: chosen["metric"])
def test_the_plan_and_the_checks_before_training_say_it(chosen: dict[str, Any]) -> None:
    policy = GatePolicy.model_validate({"gates": [gate(chosen, name="a")]})
    known, test = KnownClasses((OTHERS,)), answers()[["target", "site"]]
    (line,) = plan(policy, test, 0.05, known)
    assert line.answer.startswith("no: ") and "'scratch'" in line.answer and not line.decidable
    (sentence,) = unseen_classes(policy, test, known)
    assert sentence.startswith("gate 'a' will be inconclusive: ") and "another split has 12 of 'scratch'" in sentence
    assert not list(unseen_classes(policy, test, KnownClasses()))
    assert not list(unseen_classes(policy, test[["site"]], known))

"""Every gate counts groups where rows belong together: its bounds are wider, and too few groups decide nothing."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter

from quality_gates.evidence import Evidence
from quality_gates.gates import Gate, GatePolicy, decide, plan
from quality_gates.verdict import GateResult
from tests.quality_gates.grouped import GROUP, GroupedTruth

AGAINST: dict[str, Any] = {"against": "parent", "confidence": 0.95}
NI: dict[str, Any] = {"kind": "non_inferiority", **AGAINST, "margin": 0.1}
GATES: dict[str, dict[str, Any]] = {
    "accuracy": {**NI, "metric": "accuracy"},
    "recall": {**NI, "metric": "recall", "of": 1},
    "macro-F1": {**NI, "metric": "macro_f1"},
    "AUROC": {**NI, "metric": "auroc", "of": 1},
    "error": {**NI, "metric": "mae"},
    "custom": {**NI, "metric": "own:accuracy", "better": "higher"},
    "flips": {"kind": "flips", **AGAINST, "at_most": 0.1},
    "floor": {"kind": "limit", "metric": "accuracy", "at_least": 0.5, "confidence": 0.95},
    "floor of recall": {"kind": "limit", "metric": "recall", "of": 1, "at_least": 0.5, "confidence": 0.95},
    "Brier": {"kind": "calibration", "metric": "brier", **AGAINST, "margin": 0.2},
    "plausible": {"kind": "plausibility", "metric": "accuracy", "gain_at_most": 0.1, "confidence": 0.95},
}
TRUTH = GroupedTruth(groups=80, alike=0.6, lost=0.03, gained=0.03)


def gate(name: str) -> Gate:
    made: Gate = TypeAdapter(Gate).validate_python({"name": name, **GATES[name]})
    return made


def accuracy(rows: pd.DataFrame) -> float:
    return float(rows["score"].mean())


def held(name: str, seen: Evidence) -> GateResult:
    return gate(name).evaluate(replace(seen, functions={"own:accuracy": accuracy}))


def drawn(truth: GroupedTruth, group: str | None = GROUP, seed: int = 0) -> Evidence:
    return truth.evidence(np.random.default_rng(seed), group)


def width(result: GateResult) -> float:
    assert result.lower is not None and result.upper is not None
    return result.upper - result.lower


@pytest.mark.parametrize("name", GATES)
def test_rows_that_are_alike_widen_the_bounds_and_the_sentence_counts_groups(name: str) -> None:
    grouped, alone = held(name, drawn(TRUTH)), held(name, drawn(TRUTH, group=None))
    assert (grouped.n, grouped.estimate, alone.groups) == (alone.n, alone.estimate, None)
    assert grouped.groups is not None and 79 <= grouped.groups <= 80  # in one of them there may be no row of class 1
    assert width(grouped) > 1.3 * width(alone)
    assert f" in {grouped.groups} groups" in grouped.sentence and "groups" not in alone.sentence


@pytest.mark.parametrize("name", GATES)
def test_groups_of_one_row_are_rows(name: str) -> None:
    truth = replace(TRUTH, rows=1, groups=200)
    assert held(name, drawn(truth)) == held(name, drawn(truth, group=None))


@pytest.mark.parametrize("name", GATES)
def test_too_few_groups_are_inconclusive(name: str) -> None:
    result = held(name, drawn(GroupedTruth(groups=9, rows=300, alike=0.0, lost=0.0, gained=0.01)))
    assert result.outcome == "inconclusive" and result.blocking
    assert re.search(r"Expected rows in at least 10 groups, got \d,\d+ rows in 9: ", result.sentence)
    assert result.remedy is not None and "more rows of the same groups do not help" in result.remedy


@pytest.mark.parametrize("name", GATES)
def test_the_order_of_rows_changes_nothing(name: str) -> None:
    seen = drawn(replace(TRUTH, sizes="unequal"))
    order = np.random.default_rng(1).permutation(len(seen.candidate.rows if seen.candidate.rows is not None else []))

    def shuffled(model: Any) -> Any:
        return replace(model, rows=model.rows.iloc[order].reset_index(drop=True))

    other = replace(seen, candidate=shuffled(seen.candidate), parent=shuffled(seen.parent))
    assert held(name, other) == held(name, seen)


def test_a_row_without_a_group_fails_the_gate() -> None:
    seen = drawn(TRUTH)
    for model in (seen.candidate, seen.parent):
        assert model is not None and model.rows is not None
        model.rows[GROUP] = model.rows[GROUP].astype(float)
        model.rows.loc[3, GROUP] = np.nan
    result = held("accuracy", seen)
    assert result.outcome == "fail" and "1 of 800 rows have no part" in result.sentence


def test_more_groups_and_not_more_rows_are_the_remedy() -> None:
    result = held("accuracy", drawn(replace(TRUTH, groups=20)))
    assert result.outcome == "inconclusive"
    assert result.remedy is not None and "groups of this size in place of 20 would decide" in result.remedy


def test_the_group_is_no_column_that_slices_are_searched_in() -> None:
    assert drawn(TRUTH).beside_parent().slice_columns == ()


@pytest.mark.parametrize(
    ("groups", "rows", "answer"),
    [
        (2000, 1, "yes"),
        (1000, 2, "yes"),
        (
            40,
            50,
            "not known before: about 10 groups do if the rows of a group are answered independently, 56 if they are "
            "answered alike; there are 40",
        ),
        (9, 200, "no: 9 groups, and 10 are the fewest that decide"),
    ],
)
def test_the_plan_counts_groups(groups: int, rows: int, answer: str) -> None:
    frame = pd.DataFrame({GROUP: np.repeat(np.arange(groups), rows)})
    policy = GatePolicy(gates=(gate("accuracy"),))
    (alone,), (line,) = plan(policy, frame, 0.05), plan(policy, frame, 0.05, group=GROUP)
    assert line.rows == alone.rows == groups * rows
    assert (alone.answer, line.answer) == ("yes", answer)


@pytest.mark.parametrize(
    ("truth", "margin"),
    [
        (GroupedTruth(groups=20, alike=0.3), 0.3),
        (GroupedTruth(groups=60, alike=1.0), 0.15),
        (GroupedTruth(groups=100, alike=0.2, sizes="unequal"), 0.1),
        (GroupedTruth(groups=200, alike=0.05, rows=5), 0.05),
    ],
    ids=str,
)
def test_a_loss_of_the_margin_passes_in_at_most_one_of_twenty_cases(truth: GroupedTruth, margin: float) -> None:
    policy = GatePolicy(
        gates=(TypeAdapter(Gate).validate_python({"name": "a", **GATES["accuracy"], "margin": margin}),)
    )
    at_limit = replace(truth, lost=margin + 0.02, gained=0.02)
    draws = [decide(policy, drawn(at_limit, seed=seed)).outcome for seed in range(150)]
    assert draws.count("pass") <= 14  # 5 % of 150 and 2.5 standard errors
    equal = replace(truth, lost=0.0, gained=0.0)
    assert decide(policy, drawn(equal)).outcome == "pass"

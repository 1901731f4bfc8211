from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from quality_gates.evidence import Evidence, ModelEvidence
from quality_gates.gates import decide
from quality_gates.statistics import exact_bounds
from quality_gates.verdict import Verdict
from tests.quality_gates.builders import against, eights, evidence, failed, limit, model, policy, resources, rows

N = 200
wrong_rows = st.sets(st.integers(0, N - 1), max_size=60).map(sorted)
Damage = Callable[[pd.DataFrame], pd.DataFrame]


def test_three_equal_models_pass_every_gate() -> None:
    verdict = decide(policy(), evidence())
    assert verdict.passed
    assert [gate.outcome for gate in verdict.gates] == ["pass"] * 4


def test_results_come_in_the_policy_s_order_and_are_repeatable() -> None:
    seen = evidence(model(rows(wrong=[8, 18])))
    verdict = decide(policy(), seen)
    assert [gate.name for gate in verdict.gates] == [gate.name for gate in policy().gates]
    assert decide(policy(), seen) == verdict


def test_as_good_as_its_parent_is_not_enough_when_the_deployed_model_was_better() -> None:
    lost_eights = [8 + 10 * i for i in range(20)]
    bad = model(rows(wrong=lost_eights))
    gates = (against("parent"), eights("parent"), against("deployed"), eights("deployed"))
    verdict = decide(policy(*gates), evidence(candidate=bad, parent=bad))
    assert [gate.outcome for gate in verdict.gates] == ["pass", "pass", "fail", "fail"]
    assert verdict.outcome == "fail" and len(verdict.reasons) == 2


def test_one_failed_gate_fails_the_whole() -> None:
    assert decide(policy(against(), limit("size_bytes", 1000)), evidence()).outcome == "fail"


def test_a_first_deployment_is_decided_by_the_other_gates() -> None:
    first = Evidence(candidate=model(), parent=model(), deployed=None)
    verdict = decide(policy(), first)
    assert verdict.passed
    assert [gate.outcome for gate in verdict.gates] == ["pass", "not_applicable", "not_applicable", "pass"]


def test_a_first_deployment_with_nothing_else_to_hold_is_no_pass() -> None:
    verdict = decide(policy(against("deployed"), eights()), Evidence(candidate=model(), parent=model(), deployed=None))
    assert not verdict.passed and verdict.reasons


def test_a_candidate_that_failed_fails_every_gate_with_the_reason() -> None:
    for deployed in (None, model()):
        verdict = decide(policy(), Evidence(candidate=failed(), parent=model(), deployed=deployed))
        assert [gate.outcome for gate in verdict.gates] == ["fail"] * 4
        assert all("ran past its limit" in reason for reason in verdict.reasons)


@settings(max_examples=40, deadline=None)
@given(candidate=wrong_rows, reference=wrong_rows, margin=st.sampled_from([0.0, 0.02, 0.1, 0.3]))
def test_the_rule_is_the_interval_against_the_margin(candidate: list[int], reference: list[int], margin: float) -> None:
    seen = evidence(model(rows(N, candidate)), model(rows(N, reference)))
    (gate,) = decide(policy(against(margin=margin)), seen).gates
    gained, lost = len(set(reference) - set(candidate)), len(set(candidate) - set(reference))
    lower, upper = exact_bounds(gained, lost, N, margin, 0.95)
    expected = "pass" if lower > -margin else "fail" if upper < -margin else "inconclusive"
    assert (gate.outcome, gate.gained, gate.lost) == (expected, gained, lost)
    assert (gate.remedy is None) == (expected == "pass")


@settings(max_examples=30, deadline=None)
@given(wrong=st.tuples(wrong_rows, wrong_rows, wrong_rows), seed=st.integers(0, 2**32 - 1))
def test_the_order_of_the_rows_does_not_matter(wrong: tuple[list[int], list[int], list[int]], seed: int) -> None:
    random = np.random.default_rng(seed)
    frames = [rows(N, of_one) for of_one in wrong]
    shuffled = [frame.iloc[random.permutation(N)] for frame in frames]
    assert decide(policy(), evidence(*map(model, shuffled))) == decide(policy(), evidence(*map(model, frames)))


@settings(max_examples=30, deadline=None)
@given(
    candidate=wrong_rows,
    deployed=st.one_of(st.none(), wrong_rows),
    size=st.sampled_from([1, 65_536, 65_537, 10**12]),
    load=st.sampled_from([0.1, 1e9, float("nan"), float("inf")]),
)
def test_a_verdict_survives_json(candidate: list[int], deployed: list[int] | None, size: int, load: float) -> None:
    seen = Evidence(
        candidate=ModelEvidence(rows(N, candidate), resources(size_bytes=size, load_ms=load)),
        parent=model(),
        deployed=None if deployed is None else model(rows(N, deployed)),
    )
    verdict = decide(policy(against(), eights(), limit(), limit("load_ms", 10)), seen)
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict


def _put(column: str, value: Any) -> Damage:
    def damage(frame: pd.DataFrame) -> pd.DataFrame:
        damaged = frame.astype({column: object})
        damaged.iloc[17, list(damaged.columns).index(column)] = value
        return damaged.infer_objects()

    return damage


DAMAGES: dict[str, Damage] = {
    "no rows": lambda frame: frame.iloc[:0],
    "a row lost": lambda frame: frame.drop(index=17),
    "a row twice": lambda frame: pd.concat([frame, frame.iloc[[17]]]),
    "a row twice, another lost": lambda frame: frame.assign(row_id=frame["row_id"].replace(17, 18)),
    "an unknown row": lambda frame: frame.assign(row_id=frame["row_id"].replace(17, 1017)),
    "a row id missing": _put("row_id", None),
    "row ids as text": lambda frame: frame.astype({"row_id": str}),
    "no row ids": lambda frame: frame.drop(columns="row_id"),
    "a score missing": _put("score", np.nan),
    "an infinite score": _put("score", np.inf),
    "a score in between": _put("score", 0.99),
    "a score of two": _put("score", 2),
    "a score of -1": _put("score", -1),
    "a score as text": _put("score", "1"),
    "no scores": lambda frame: frame.drop(columns="score"),
    "two score columns": lambda frame: pd.concat([frame, frame[["score"]]], axis=1),
    "a prediction missing": _put("prediction", None),
    "no predictions": lambda frame: frame.drop(columns="prediction"),
    "no labels": lambda frame: frame.drop(columns="label"),
    "a label missing": _put("label", None),
    "another label": _put("label", 8),
    "a label of another kind": _put("label", "seven"),
    "a site that is a list": _put("site", ["north"]),
    "not a frame": lambda frame: frame.to_dict("records"),  # type: ignore[dict-item, return-value]
}


@pytest.mark.parametrize("whose", ["candidate", "parent", "deployed"])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_damaged_rows_never_pass_and_never_raise(damage: Damage, whose: str) -> None:
    verdict = decide(policy(), evidence(**{whose: model(damage(rows(N)))}))
    assert verdict.outcome == "fail"
    assert all(gate.remedy for gate in verdict.gates if gate.outcome != "pass")


@settings(max_examples=60, deadline=None)
@given(
    first=st.sampled_from(sorted(DAMAGES)),
    second=st.sampled_from(sorted(DAMAGES)),
    wrong=wrong_rows,
    deployed=st.booleans(),
)
def test_two_damages_at_once_never_pass(first: str, second: str, wrong: list[int], deployed: bool) -> None:
    assume(first != second)  # the same damage in both frames may leave a sound, smaller comparison
    reference = model(DAMAGES[second](rows(N)))
    seen = Evidence(
        candidate=model(DAMAGES[first](rows(N, wrong))), parent=reference, deployed=reference if deployed else None
    )
    assert decide(policy(), seen).outcome == "fail"

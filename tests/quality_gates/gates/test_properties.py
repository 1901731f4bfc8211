"""Every kind of gate over damaged and shuffled evidence: never a pass, never an exception, never another verdict."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from quality_gates.evidence import Evidence, ModelEvidence, ParityMeasurement
from quality_gates.gates import KINDS, GatePolicy, decide
from tests.quality_gates.builders import resources
from tests.quality_gates.classed import answers
from tests.quality_gates.gates.every_kind import EVERY

N = 240
Damage = Callable[[pd.DataFrame], pd.DataFrame]
METRICS = ["accuracy", "recall", "precision", "f1", "macro_f1", "balanced_accuracy", "auroc"]
OF = {"recall", "precision", "f1", "auroc"}
CONDITIONS = [
    None,
    {"column": "site", "equals": "north"},
    {"column": "heat", "from": 2.0, "to": 9.0},
    {"all": [{"column": "site", "in": ["north", "south"]}, {"column": "heat", "below": 9.5}]},
]

metric = st.sampled_from(METRICS).map(lambda name: {"metric": name} | ({"of": "crack"} if name in OF else {}))
shares = st.sampled_from([0.01, 0.05, 0.2])
common = st.fixed_dictionaries({"confidence": st.sampled_from([0.9, 0.95]), "slice": st.sampled_from(CONDITIONS)})
non_inferiority = st.builds(
    lambda chosen, margin, against, rest: {"kind": "non_inferiority", "margin": margin, "against": against}
    | chosen | rest,
    metric, st.sampled_from([0.0, 0.05, 0.3]), st.sampled_from(["parent", "deployed"]), common,
)  # fmt: skip
flips = st.builds(lambda share, rest: {"kind": "flips", "at_most": share, **rest}, shares, common)
plausibility = st.builds(
    lambda chosen, gain, rest: {"kind": "plausibility", "gain_at_most": gain, **chosen, **rest}, metric, shares, common
)
calibration = st.builds(
    lambda score, against, margin, rest: {"kind": "calibration", "metric": score, "against": against, "margin": margin}
    | rest,
    st.sampled_from(["brier", "log_loss"]), st.sampled_from(["parent", "deployed"]), shares, common,
)  # fmt: skip
found = st.builds(
    lambda against, share: {"kind": "found_slices", "against": against, "min_rows": 20, "carried": 3, "margin": share,
                            "confidence": 0.95},
    st.sampled_from(["parent", "deployed"]), shares,
)  # fmt: skip
compared = st.sampled_from([gate for gate in EVERY if "against" in KINDS[gate["kind"]].model_fields])
gates = st.one_of(non_inferiority, flips, plausibility, calibration, found, compared)
wrong = st.sets(st.integers(0, N - 1), max_size=60).map(sorted)


def policy(gate: dict[str, Any]) -> GatePolicy:
    return GatePolicy.model_validate({"gates": [{"name": "gate"} | gate]})


def evidence(candidate: pd.DataFrame, parent: pd.DataFrame, deployed: pd.DataFrame | None) -> Evidence:
    ours, theirs = (ModelEvidence(frame, resources()) for frame in (candidate, parent))
    last = None if deployed is None else ModelEvidence(deployed, resources())
    first, second, third = (ModelEvidence(answers(N, seed=9), None) for _ in range(3))
    parity = (ParityMeasurement("batched_single", 9, 0, 0.0),)
    return Evidence(ours, theirs, last, validation=Evidence(first, second, third), parity=parity)


def put(column: str, value: Any, row: int) -> Damage:
    def damage(frame: pd.DataFrame) -> pd.DataFrame:
        damaged = frame.astype({column: object})
        damaged.iloc[row, list(damaged.columns).index(column)] = value
        return damaged.infer_objects()

    return damage


DAMAGES: dict[str, Damage] = {
    "no rows": lambda frame: frame.iloc[:0],
    "a row lost": lambda frame: frame.drop(index=17),
    "a row twice": lambda frame: pd.concat([frame, frame.iloc[[17]]]),
    "an unknown row": lambda frame: frame.assign(row_id=frame["row_id"].replace(17, 1017)),
    "no row ids": lambda frame: frame.drop(columns="row_id"),
    "no scores": lambda frame: frame.drop(columns="score"),
    "a score of NaN": put("score", np.nan, 17),
    "a confidence of NaN": put("confidence", np.nan, 17),
    "a Brier score of NaN": put("brier", np.nan, 17),
    "a probability that is infinite": put("p(crack)", np.inf, 17),
    "an infinite score": put("score", np.inf, 17),
    "a score as text": put("score", "1", 17),
    "no predictions": lambda frame: frame.drop(columns="prediction"),
    "a prediction missing": put("prediction", None, 17),
    "another site": put("site", "elsewhere", 17),
    "a site missing": put("site", None, 17),
    "no site": lambda frame: frame.drop(columns="site"),
    "another target": put("target", "unheard of", 17),
    "two score columns": lambda frame: pd.concat([frame, frame[["score"]]], axis=1),
    "not a frame": lambda frame: frame.to_dict("records"),  # type: ignore[dict-item, return-value]
}


@settings(max_examples=120, deadline=None)
@given(gate=gates, damage=st.sampled_from(sorted(DAMAGES)), wrong=wrong, deployed=st.booleans())
def test_a_damaged_candidate_never_passes_and_never_raises(
    gate: dict[str, Any], damage: str, wrong: list[int], deployed: bool
) -> None:
    whole = answers(N, wrong)
    other = whole if deployed else None
    result = decide(policy(gate), evidence(DAMAGES[damage](whole), whole, other)).gates[0]
    # Before a first deployment nothing is compared, so that only damage within the candidate can be seen.
    assert result.outcome in ("fail", "not_applicable") and not (deployed and result.outcome != "fail")
    assert result.sentence and (result.remedy or result.outcome == "not_applicable")


@settings(max_examples=60, deadline=None)
@given(gate=gates, damage=st.sampled_from(sorted(DAMAGES)), wrong=wrong)
def test_a_damaged_reference_never_passes_and_never_raises(gate: dict[str, Any], damage: str, wrong: list[int]) -> None:
    whole = answers(N, wrong)
    damaged = DAMAGES[damage](whole)
    verdict = decide(policy(gate), evidence(whole, damaged, damaged))
    assert verdict.outcome == "fail" and verdict.reasons and verdict.gates[0].remedy


@settings(max_examples=60, deadline=None)
@given(gate=gates, wrong=st.tuples(wrong, wrong, wrong), seed=st.integers(0, 2**32 - 1))
def test_no_verdict_depends_on_the_order_of_rows(
    gate: dict[str, Any], wrong: tuple[list[int], list[int], list[int]], seed: int
) -> None:
    random = np.random.default_rng(seed)
    frames = [answers(N, of_one) for of_one in wrong]
    shuffled = [frame.iloc[random.permutation(N)] for frame in frames]
    assert decide(policy(gate), evidence(*shuffled)) == decide(policy(gate), evidence(*frames))


@settings(max_examples=60, deadline=None)
@given(gate=gates, wrong=st.tuples(wrong, wrong), n=st.integers(1, 40))
def test_whatever_the_rows_there_is_a_sentence_and_a_way_out(
    gate: dict[str, Any], wrong: tuple[list[int], list[int]], n: int
) -> None:
    frames = [answers(n, [row for row in of_one if row < n]) for of_one in wrong]
    verdict = decide(policy(gate), evidence(frames[0], frames[1], frames[1]))
    assert type(verdict).model_validate_json(verdict.model_dump_json()) == verdict
    assert all(found.sentence and (found.remedy or found.outcome == "pass") for found in verdict.gates)


def test_the_evidence_of_these_tests_can_pass() -> None:
    gate = {"kind": "non_inferiority", "metric": "macro_f1", "against": "parent", "margin": 0.1, "confidence": 0.9}
    assert decide(policy(gate), evidence(answers(N), answers(N), None)).passed
    assert dataclasses.is_dataclass(evidence(answers(N), answers(N), None))

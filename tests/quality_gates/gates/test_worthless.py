"""Gates that hold at a worthless value: the value and the floor are beside it, and it does not look green."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from quality_gates.evidence import Evidence
from quality_gates.gates import GatePolicy, decide
from quality_gates.verdict import GateResult
from tests.quality_gates.classed import answers, seen

RECALL = {"kind": "non_inferiority", "metric": "recall", "of": "crack", "margin": 0.05, "confidence": 0.95}
FLOOR = {"kind": "limit", "metric": "recall", "of": "crack", "at_least": 0.8, "confidence": 0.95}
CRACKS = list(range(1, 600, 3))


def blind() -> Evidence:
    """Both models find no crack at all."""
    rows = answers(wrong=CRACKS)
    return seen(rows, rows)


def first(evidence: Evidence, *gates: dict[str, Any]) -> GateResult:
    named = [{"name": f"gate {place}"} | gate for place, gate in enumerate(gates)]
    return decide(GatePolicy.model_validate({"gates": named}), evidence).gates[0]


def test_a_recall_of_nothing_against_a_parent_of_nothing_says_so() -> None:
    result = first(blind(), RECALL | {"against": "parent"})
    assert (result.outcome, result.worthless, result.floor) == ("pass", True, None)
    assert result.sentence.endswith(
        "It holds at a worthless value: recall of class crack 0.0 %, that of the parent model 0.0 %. "
        "Guessing reaches 33.3 %, and no gate sets a floor."
    )


def test_the_floor_of_the_same_metric_is_beside_it() -> None:
    result = first(blind(), RECALL | {"against": "parent"}, FLOOR)
    assert result.floor == 0.8 and result.sentence.endswith("and the floor is 80.0 %.")
    other = first(blind(), RECALL | {"against": "parent"}, FLOOR | {"of": "dent"})
    assert other.floor is None


def test_a_floor_on_the_same_slice_in_other_words_is_beside_it() -> None:
    rows = {"column": "label", "equals": 1}
    gate = {"metric": "accuracy", "against": "parent", "of": None, "slice": rows}
    floor = FLOOR | {"metric": "accuracy", "of": None, "slice": {"column": "label", "in": [1]}}
    assert first(blind(), RECALL | gate, floor).floor == 0.8


@pytest.mark.parametrize(
    "gate",
    [
        {"kind": "flips", "at_most": 0.1, "confidence": 0.95, "slice": {"column": "target_name", "equals": "crack"}},
        {"kind": "calibration", "metric": "brier", "against": "parent", "margin": 0.2, "confidence": 0.95},
        {"kind": "limit", "metric": "recall", "of": "crack", "at_least": 0.01, "confidence": 0.95},
        {"kind": "non_inferiority", "metric": "accuracy", "against": "parent", "margin": 0.1, "confidence": 0.95},
    ],
)
def test_every_kind_that_compares_answers_tells_a_guess(gate: dict[str, Any]) -> None:
    random = np.random.default_rng(0)
    wrong = sorted({*random.choice(600, 420, replace=False).tolist(), *CRACKS[:170]})
    guessing, knowing = answers(wrong=wrong), answers(wrong=CRACKS[:3])
    assert first(seen(*map(named, (guessing, guessing))), gate).worthless
    good = first(seen(*map(named, (knowing, knowing))), gate)
    assert good.outcome == "pass" and not good.worthless


def named(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(target_name=rows["target"])


def test_the_headline_counts_them() -> None:
    gates = [{"name": "recall", "against": "parent"} | RECALL]
    verdict = decide(GatePolicy.model_validate({"gates": gates}), blind())
    assert verdict.headline == "Pass: 1 of 1 gates hold, 1 of them at a worthless value."

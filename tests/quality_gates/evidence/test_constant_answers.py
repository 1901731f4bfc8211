"""Answers that cannot vary: no kind of gate that looks at answers passes, whichever of the models they are of."""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest

from quality_gates.evidence import Evidence, ModelEvidence
from tests.quality_gates.builders import resources
from tests.quality_gates.classed import answers, seen
from tests.quality_gates.gates.every_kind import EVERY, PARITY, SITES, good, held

MAE = {"kind": "non_inferiority", "metric": "mae", "against": "parent", "margin": 0.1, "confidence": 0.95}
RECALL = MAE | {"metric": "recall", "of": "ok"}
FOUND = {
    "kind": "found_slices", "against": "parent", "min_rows": 20, "carried": 3, "margin": 0.1, "confidence": 0.95,
}  # fmt: skip
GATES = [*(gate for gate in EVERY if gate is not SITES), RECALL, FOUND]


def constant(rows: pd.DataFrame) -> pd.DataFrame:
    """One answer to all rows, by a model that is as sure of it as the other one of its own."""
    return rows.assign(prediction="ok", score=(rows["target"] == "ok").astype(float))


def never_right(rows: pd.DataFrame) -> pd.DataFrame:
    """Answers that vary, none of which the score takes for right."""
    return rows.assign(score=0.0)


@pytest.mark.parametrize("still", [constant, never_right])
@pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate["kind"])
def test_a_candidate_whose_answers_cannot_vary_passes_no_gate_on_answers(gate: dict[str, Any], still: Any) -> None:
    frame = still(answers())
    same = seen(frame, frame)
    result = held(gate, dataclasses.replace(same, parity=good().parity, validation=seen(answers(seed=1))))
    assert result.outcome == "fail" and result.blocking
    assert "what does not vary cannot be compared" in result.sentence and "Workload.predictions" in str(result.remedy)


@pytest.mark.parametrize("gate", [gate for gate in GATES if "against" in gate], ids=lambda gate: gate["kind"])
def test_a_reference_whose_answers_cannot_vary_shows_nothing_about_the_candidate(gate: dict[str, Any]) -> None:
    result = held(gate, seen(answers(), constant(answers())))
    assert result.outcome == "fail" and "The parent model gives one answer" in result.sentence


def test_before_a_first_deployment_a_constant_candidate_is_no_exception() -> None:
    first = dataclasses.replace(seen(constant(answers())), deployed=None)
    for gate in (RECALL | {"against": "deployed"}, FOUND | {"against": "deployed"}):
        assert held(gate, first).outcome == "fail"


def test_a_slice_of_one_answer_is_good_where_the_answers_vary_elsewhere() -> None:
    north = {"column": "site", "equals": "north"}
    frame = answers()
    kept = frame[(frame["site"] == "south") | (frame["target"] == "ok")]
    accuracy = RECALL | {"metric": "accuracy", "slice": north}
    del accuracy["of"]
    assert held(accuracy, seen(kept, kept)).outcome == "pass"


def test_a_regression_with_the_score_of_a_classifier_does_not_pass() -> None:
    target = np.random.default_rng(0).normal(size=600)
    frame = pd.DataFrame({"row_id": np.arange(600), "prediction": 0, "score": 0.0, "target": target})
    for gate in (MAE, MAE | {"metric": "accuracy"}):
        assert held(gate, seen(frame, frame)).outcome == "fail"


def test_parity_needs_no_rows_but_looks_at_those_that_are_there() -> None:
    alone = Evidence(ModelEvidence(None, resources()), None, None, parity=good().parity)
    assert held(PARITY, alone).outcome == "pass"

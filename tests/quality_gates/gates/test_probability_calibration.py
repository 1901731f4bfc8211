"""Calibration: a proper score is held against a reference and by itself; the calibration error is only shown."""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest

from quality_gates.evidence import Evidence
from quality_gates.policy import WORST_SCORES, ProperScore
from quality_gates.statistics import calibration_errors, row_scores
from tests.quality_gates.classed import answers, seen
from tests.quality_gates.gates.every_kind import CALIBRATION, held

RISE = {name: value for name, value in CALIBRATION.items() if name != "at_most"}
ALONE = {"kind": "calibration", "metric": "log_loss", "at_most": 0.3, "confidence": 0.95}


def test_a_candidate_that_is_surer_than_it_is_right_fails() -> None:
    result = held(CALIBRATION, seen(answers(wrong=range(200))))
    assert result.outcome == "fail" and len(result.findings) == 3
    assert result.candidate_value is not None and result.reference_value is not None
    assert result.candidate_value > 0.5 and result.reference_value < 0.1
    assert held(RISE, seen(answers(wrong=range(200)), answers(wrong=range(200), seed=1))).outcome == "pass"


def test_the_debiased_calibration_error_is_shown_beside_the_score() -> None:
    result = held(CALIBRATION, seen(answers(wrong=range(200))))
    assert (
        "Debiased calibration error 28.8 %, that of the parent model 5." in result.sentence
        and "it is shown and not held" in result.findings[-1]
    )
    assert "calibration error" not in held(CALIBRATION, seen(answers(60))).sentence  # too few rows for one
    numbers = answers().assign(score=np.linspace(0, 1, 600))
    assert "calibration error" not in held(CALIBRATION, seen(numbers, numbers)).sentence


@pytest.mark.parametrize("score", [np.nan, np.inf, 2.1, -0.1, "sure"])
def test_scores_that_cannot_be_fail(score: Any) -> None:
    damaged = answers().assign(brier=score)
    assert held(CALIBRATION, seen(damaged)).outcome == "fail"
    assert held(CALIBRATION, seen(answers(), damaged)).outcome == "fail"


def test_rows_without_probabilities_fail_with_the_way_out() -> None:
    result = held(CALIBRATION, seen(answers().drop(columns="brier")))
    assert result.outcome == "fail" and "have no candidate brier" in result.sentence
    assert "Workload.probabilities" in str(result.remedy)


def test_few_rows_that_are_all_right_and_sure_show_nothing() -> None:
    assert held(CALIBRATION, seen(answers(6))).outcome == "inconclusive"
    assert held(RISE, seen(answers(100))).outcome == "inconclusive"
    assert held(RISE, seen(answers(300))).outcome == "pass"


def test_before_a_first_deployment_only_the_limit_is_held() -> None:
    first: Evidence = dataclasses.replace(seen(answers()), deployed=None)
    assert held(RISE | {"against": "deployed"}, first).outcome == "not_applicable"
    assert held(CALIBRATION | {"against": "deployed"}, first).outcome == "pass"
    assert held(ALONE, first).outcome == "pass"
    broken = dataclasses.replace(seen(answers().assign(brier=np.nan)), deployed=None)
    assert held(RISE | {"against": "deployed"}, broken).outcome == "fail"


def test_a_slice_holds_its_own_rows() -> None:
    north = np.flatnonzero(answers()["site"] == "north")
    result = held(RISE | {"slice": {"column": "site", "equals": "north"}}, seen(answers(wrong=north[:60].tolist())))
    assert result.outcome == "fail" and result.n == len(north)


def drawn(random: np.random.Generator, n: int, sharpness: float, classes: int = 5) -> tuple[np.ndarray, ...]:
    """Outputs of a model whose probabilities are the true ones, those of one that is sharper, and the right answers."""
    outputs = random.normal(size=(n, classes))
    outputs[np.arange(n), random.integers(0, classes, n)] += 4
    truth, sharper = (np.exp(outputs * factor) for factor in (1.0, sharpness))
    truth, sharper = (shares / shares.sum(axis=1, keepdims=True) for shares in (truth, sharper))
    right = np.minimum((truth.cumsum(axis=1) > random.random((n, 1))).argmax(axis=1), classes - 1)
    return truth, sharper, right


def frame(shares: np.ndarray, right: np.ndarray) -> pd.DataFrame:
    said = shares.argmax(axis=1)
    rows = pd.DataFrame({"row_id": np.arange(len(right)), "prediction": said, "score": (said == right).astype(float)})
    return rows.assign(target=right, confidence=shares.max(axis=1), **row_scores(shares, right))


@pytest.mark.parametrize("score", WORST_SCORES)
def test_a_rise_of_exactly_the_margin_passes_in_at_most_one_case_of_twenty(score: ProperScore) -> None:
    """The case in which a plug-in calibration error lets half of them pass, or more."""
    random = np.random.default_rng(0)
    truth, sharper, right = drawn(random, 300_000, 1.7)
    rise = float((row_scores(sharper, right)[score] - row_scores(truth, right)[score]).mean())
    gate = {"kind": "calibration", "metric": score, "against": "parent", "margin": rise, "confidence": 0.95}
    passed = 0
    for _ in range(100):
        truth, sharper, right = drawn(random, 600, 1.7)
        passed += held(gate, seen(frame(sharper, right), frame(truth, right))).outcome == "pass"
    assert rise > 0.01 and passed <= 9


@pytest.mark.parametrize(("score", "margin"), [("brier", 0.04), ("log_loss", 0.15)])
def test_a_model_that_is_as_well_calibrated_passes(score: str, margin: float) -> None:
    random, gate = np.random.default_rng(1), RISE | {"metric": score, "margin": margin}
    for _ in range(10):
        truth, close, right = drawn(random, 1000, 1.03)
        assert held(gate, seen(frame(close, right), frame(truth, right))).outcome == "pass"


@pytest.mark.parametrize("n", [200, 2000])
def test_the_calibration_error_shown_is_not_larger_on_few_rows(n: int) -> None:
    random, squares = np.random.default_rng(2), []
    for _ in range(200):
        truth, sharper, right = drawn(random, n, 2.0)
        laid = seen(frame(sharper, right), frame(truth, right)).beside_parent()
        errors = calibration_errors(laid.rows)
        assert errors is not None
        squares.append([error**2 for error in errors])
    sharp, true = np.sqrt(np.mean(squares, axis=0))
    assert sharp == pytest.approx(0.122, abs=0.008) and true < 0.04


def test_scores_of_rows_are_the_textbooks() -> None:
    shares = np.array([[0.7, 0.2, 0.1], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.5, 0.0]])
    scores = row_scores(shares, np.array([0, 1, 0, -1]))
    assert scores["brier"] == pytest.approx([0.3**2 + 0.2**2 + 0.1**2, 0, 2, 1.5])
    assert scores["log_loss"] == pytest.approx([-np.log(0.7), 0, -np.log(1e-4), -np.log(1e-4)])
    assert all(scores[name].max() <= worst for name, worst in WORST_SCORES.items())

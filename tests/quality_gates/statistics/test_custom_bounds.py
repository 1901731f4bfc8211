"""Bounds of custom metrics: few rows are not believed more than they show, whatever the function looks at."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from quality_gates.statistics import custom_metric, exact_bounds
from quality_gates.statistics.custom_metric import PairedCustomMetric
from quality_gates.statistics.extreme_rows import extreme_rows
from tests.quality_gates.classed import answers, seen
from tests.quality_gates.gates.every_kind import held

Metric = Callable[[pd.DataFrame], float]


def by_score(rows: pd.DataFrame) -> float:
    return float(rows["score"].mean())


def by_answers(rows: pd.DataFrame) -> float:
    return float((rows["prediction"] == rows["target"]).mean())


def missed_cracks(rows: pd.DataFrame) -> float:
    """Ten for each crack that is not found, per row."""
    return float((10 * ((rows["target"] == "crack") & (rows["prediction"] != "crack"))).mean())


def recall_in_the_north(rows: pd.DataFrame) -> float:
    there = rows[(rows["target"] == "crack") & (rows["site"] == "north")]
    return float((there["prediction"] == "crack").mean()) if len(there) else 0.0


def false_dents(rows: pd.DataFrame) -> float:
    said = rows[rows["prediction"] == "dent"]
    return float((said["target"] != "dent").mean()) if len(said) else 0.0


def doubt(rows: pd.DataFrame) -> float:
    """The mean probability that goes to other classes than the right one."""
    return float(np.mean([1 - row[f"p({row['target']})"] for row in rows.to_dict("records")]))


def metric_of(function: Metric, candidate: pd.DataFrame, parent: pd.DataFrame, sign: int = 1) -> PairedCustomMetric:
    return PairedCustomMetric(function, "a:b", sign, seen(candidate, parent).beside_parent().rows)


@pytest.fixture(autouse=True)
def fewer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(custom_metric, "DRAWS", 200)


@pytest.mark.parametrize(
    ("function", "sign", "least"),
    [(by_score, 1, 0.03), (by_answers, 1, 0.03), (missed_cracks, -1, 0.3), (recall_in_the_north, 1, 0.1),
     (false_dents, -1, 0.1), (doubt, -1, 0.03)],
)  # fmt: skip
def test_equal_models_on_few_rows_are_not_shown_to_be_equal(function: Metric, sign: int, least: float) -> None:
    rows = answers(60)
    metric = metric_of(function, rows, rows, sign)
    low, high = metric.gain_bounds(0.95)
    assert low < -least and high > least
    assert metric.gain_spread() > 0


@pytest.mark.parametrize(("n", "margin"), [(30, 0.1), (50, 0.1), (100, 0.05)])
def test_an_accuracy_that_lost_exactly_the_margin_passes_in_at_most_six_cases_of_a_hundred(
    n: int, margin: float
) -> None:
    """The chance is exact: the numbers of lost rows that pass, each with its chance. It was 11 % without extra rows."""
    most = -1
    while metric_of(by_answers, answers(n, range(most + 1)), answers(n)).gain_bounds(0.95)[0] > -margin:
        most += 1
    assert binom.cdf(most, n, margin) <= 0.06


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (0, 2), (3, 0), (4, 8)])
def test_the_bounds_of_an_accuracy_are_about_the_exact_ones(gained: int, lost: int) -> None:
    candidate, parent = answers(100, range(lost)), answers(100, range(lost, lost + gained))
    bounds = metric_of(by_score, candidate, parent).gain_bounds(0.95)
    assert bounds == pytest.approx(exact_bounds(gained, lost, 100, 0.1, 0.95), abs=0.03)


@pytest.mark.parametrize("function", [by_score, lambda rows: float(abs(rows["prediction"] - rows["target"]).mean())])
def test_errors_that_never_differed_may_differ_by_the_largest(function: Metric) -> None:
    target = np.random.default_rng(0).normal(size=40)
    off = np.random.default_rng(1).gamma(2, 1, 40)
    frame = pd.DataFrame({"row_id": np.arange(40), "prediction": target + off, "score": off, "target": target})
    low, high = metric_of(function, frame, frame, -1).gain_bounds(0.95)
    assert low < -2 * off.max() / 40 and high > 2 * off.max() / 40


def test_rows_that_the_function_does_not_take_are_left_out() -> None:
    def strict(rows: pd.DataFrame) -> float:
        if not rows["prediction"].equals(rows["target"]):
            raise ValueError("never seen")
        return by_score(rows)

    rows = answers(40)
    low, high = metric_of(strict, rows, rows).gain_bounds(0.95)
    assert low < 0 < high


def test_without_right_answers_the_rows_with_the_best_and_the_worst_score_lend_theirs() -> None:
    candidate, parent = (answers(40, wrong).drop(columns="target") for wrong in ([3, 4], [5]))
    good, bad = extreme_rows(candidate, parent)
    assert len(good) == len(bad) and list(good.columns) == list(bad.columns) == list(candidate.columns)
    assert set(good["score"][8:]) == {1.0} and set(bad["score"][8:]) == {0.0}
    low, _ = metric_of(by_score, candidate, candidate).gain_bounds(0.95)
    assert low < -0.03


def test_every_class_in_every_slice_has_a_row_with_each_wrong_answer_within_a_bound() -> None:
    good, bad = extreme_rows(answers(200), answers(200))
    seen_there = set(zip(good["target"], good["site"], bad["prediction"], strict=True))
    assert {("crack", "north", "dent"), ("dent", "south", "ok"), ("ok", "north", "crack")} <= seen_there
    assert (good["prediction"] == good["target"]).all() and len(good) <= 108
    wrong = bad[8:]
    assert (wrong["prediction"] != wrong["target"]).all() and (wrong["p(crack)"] > 0.9).any()


def test_a_row_without_a_right_answer_is_not_looked_past() -> None:
    gate: dict[str, Any] = {"kind": "limit", "metric": "a:b", "better": "higher", "at_least": 0.1, "confidence": 0.95}
    gap = answers(60).assign(target=lambda rows: rows["target"].mask(rows["row_id"] == 3))
    result = held(gate, dataclasses.replace(seen(gap, gap), functions={"a:b": by_score}))
    assert result.outcome == "fail" and "1 of 60 rows have no right answer" in result.sentence


def overwriting(rows: pd.DataFrame) -> float:
    rows["score"] = 1.0
    rows["prediction"] = rows["target"]
    return by_score(rows)


def share_of_cracks(rows: pd.DataFrame) -> float:
    return float((rows["target"] == "crack").mean())


@pytest.mark.parametrize("function", [lambda _: 1.0, overwriting, len, share_of_cracks])
@pytest.mark.parametrize("of_itself", [True, False])
def test_a_metric_that_no_answer_moves_never_passes(function: Metric, of_itself: bool) -> None:
    limit = {"kind": "limit", "at_least": 0.1}
    beside = {"kind": "non_inferiority", "against": "parent", "margin": 0.1}
    gate = {"metric": "a:b", "better": "higher", "confidence": 0.95} | (limit if of_itself else beside)
    evidence = dataclasses.replace(seen(answers(60, [3]), answers(60)), functions={"a:b": function})
    result = held(gate, evidence)
    assert (result.outcome, result.blocking) == ("fail", True)
    assert "The function a:b gives" in result.sentence and "what does not vary cannot be compared" in result.sentence


def median_score(rows: pd.DataFrame) -> float:
    return float(rows["score"].median())


def mean_confidence(rows: pd.DataFrame) -> float:
    return float(rows["p(crack)"].mean())


@pytest.mark.parametrize("function", [by_score, by_answers, missed_cracks, doubt, median_score, mean_confidence])
def test_a_metric_that_answers_move_has_bounds(function: Metric) -> None:
    rows = answers(60)
    low, high = metric_of(function, rows, rows).own_bounds(0.95)
    assert low < high


def test_what_a_function_does_to_its_rows_is_not_seen_by_others() -> None:
    paired = metric_of(by_score, answers(60, [3, 4]), answers(60))
    disturbed = metric_of(lambda rows: by_score(rows) + 0 * overwriting(rows), answers(60, [3, 4]), answers(60))
    before = disturbed.rows.copy()
    assert disturbed.gain_bounds(0.95) == paired.gain_bounds(0.95)
    pd.testing.assert_frame_equal(disturbed.rows, before)


def leaving(_: pd.DataFrame) -> float:
    raise SystemExit("bye\nbye")


def test_a_function_that_ends_the_process_is_a_failed_gate_in_one_line() -> None:
    gate = {"kind": "limit", "metric": "a:b", "better": "higher", "at_least": 0.1, "confidence": 0.95}
    result = held(gate, dataclasses.replace(seen(answers(), answers()), functions={"a:b": leaving}))
    assert result.outcome == "fail" and "The function a:b failed (SystemExit: bye bye)." in result.sentence

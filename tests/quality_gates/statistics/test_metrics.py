"""Metrics against scikit-learn's, and their gates at the margin and beyond it."""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sklearn

from quality_gates.gates import GatePolicy, NonInferiority, decide
from quality_gates.policy import MetricChoice
from quality_gates.statistics import compare
from quality_gates.verdict import GateResult
from tests.quality_gates.classed import answers, seen

RANDOM = np.random.default_rng(3)
WRONG = sorted(RANDOM.choice(600, 60, replace=False).tolist())
CLASS_METRICS = ["recall", "precision", "f1", "macro_f1", "balanced_accuracy", "auroc"]


def gate(metric: str, margin: float = 0.05, **more: object) -> NonInferiority:
    of = {"of": "crack"} if metric in ("recall", "precision", "f1", "auroc") else {}
    settings = {"name": metric, "metric": metric, "against": "parent", "margin": margin, "confidence": 0.95}
    return NonInferiority.model_validate(settings | of | more)


def result(gate: NonInferiority, candidate: pd.DataFrame, parent: pd.DataFrame | None = None) -> GateResult:
    return gate.evaluate(seen(candidate, parent))


def expected(metric: str, rows: pd.DataFrame) -> float:
    truth, said = rows["target"], rows["prediction"]
    match metric:
        case "recall" | "precision" | "f1":
            return float(getattr(sklearn, f"{metric}_score")(truth == "crack", said == "crack"))
        case "macro_f1":
            return float(sklearn.f1_score(truth, said, average="macro"))
        case "balanced_accuracy":
            return float(sklearn.balanced_accuracy_score(truth, said))
        case _:
            return float(sklearn.roc_auc_score(truth == "crack", rows["p(crack)"]))


@pytest.mark.parametrize("metric", CLASS_METRICS)
def test_a_metric_is_what_scikit_learn_says(metric: str) -> None:
    candidate, parent = answers(wrong=WRONG), answers(wrong=WRONG[:9], seed=1)
    found = result(gate(metric), candidate, parent)
    assert found.candidate_value == pytest.approx(expected(metric, candidate))
    assert found.reference_value == pytest.approx(expected(metric, parent))
    assert found.candidate_value is not None and found.reference_value is not None and found.estimate is not None
    assert found.estimate == pytest.approx(found.candidate_value - found.reference_value)
    assert found.lower is not None and found.upper is not None and found.lower < found.estimate < found.upper


@pytest.mark.parametrize("metric", CLASS_METRICS)
def test_a_clear_loss_fails_and_an_equal_model_passes(metric: str) -> None:
    cracks = list(range(1, 600, 3))[:90]
    mistaken = [row - 1 for row in cracks] if metric == "precision" else cracks
    assert result(gate(metric), answers(wrong=mistaken)).outcome == "fail"
    same = result(gate(metric), answers(wrong=WRONG[:6]), answers(wrong=WRONG[:6]))
    assert (same.outcome, same.estimate) == ("pass", 0.0)


@pytest.mark.parametrize("metric", CLASS_METRICS)
def test_few_rows_that_all_agree_show_nothing(metric: str) -> None:
    found = result(gate(metric), answers(9))
    assert found.outcome == "inconclusive" and found.remedy and found.rows_needed is not None


@pytest.mark.parametrize("metric", ["mae", "rmse"])
def test_errors_are_better_when_smaller(metric: str) -> None:
    parent = answers().assign(score=np.random.default_rng(0).gamma(2, 1, 600))
    worse, better = parent.assign(score=parent["score"] * 1.3), parent.assign(score=parent["score"] * 0.7)
    power = 2 if metric == "rmse" else 1
    values = [float((rows["score"] ** power).mean() ** (1 / power)) for rows in (worse, parent)]
    lost = result(gate(metric, 0.3), worse, parent)
    assert (lost.outcome, lost.unit) == ("fail", "value")
    assert lost.estimate == pytest.approx(values[1] - values[0])
    assert result(gate(metric, 0.3), better, parent).outcome == "pass"
    assert result(gate(metric, 0.0), better, parent).outcome == "pass"


def test_a_mean_score_is_better_when_larger() -> None:
    generator = np.random.default_rng(0)
    parent = answers().assign(score=generator.uniform(0.5, 0.9, 600))
    worse, noisy = parent.assign(score=parent["score"] - 0.1), parent.assign(score=generator.permuted(parent["score"]))
    lost = result(gate("mean_score", 0.05), worse, parent)
    assert (lost.outcome, lost.unit) == ("fail", "value")
    assert lost.candidate_value == pytest.approx(worse["score"].mean())
    assert lost.estimate == pytest.approx(-0.1)
    assert result(gate("mean_score", 0.05), noisy, parent).outcome == "pass"
    gained = result(gate("mean_score", 0.0), parent, worse)
    assert gained.outcome == "pass" and gained.lower is not None and 0 < gained.lower < 0.1


def test_few_rows_with_the_same_scores_show_no_mean() -> None:
    alike = answers(9).assign(score=0.8)
    found = result(gate("mean_score", 0.05), alike, alike)
    assert found.outcome in ("fail", "inconclusive") and found.remedy


def cost(rows: pd.DataFrame) -> float:
    return float((10 * (rows["target"] == "crack") * (1 - rows["score"])).mean())


def test_a_function_of_ones_own_is_a_metric() -> None:
    own = gate("tests.quality_gates.test_metrics:cost", 0.5, better="lower")
    evidence = dataclasses.replace(seen(answers(wrong=WRONG), answers(wrong=WRONG[:30])), functions={own.metric: cost})
    found = own.evaluate(evidence)
    assert found.candidate_value == pytest.approx(cost(answers(wrong=WRONG)))
    assert found.outcome == "pass" and found.lower is not None and found.lower < found.estimate  # type: ignore[operator]
    strict = gate(own.metric, 0.01, better="lower").evaluate(evidence)
    assert strict.outcome in ("fail", "inconclusive")


@pytest.mark.parametrize(
    ("functions", "says"),
    [
        ({}, "is not known: no such function was given"),
        ({"a:b": lambda _: float("nan")}, "gave nan for a sample of"),
        ({"a:b": lambda rows: rows["no such column"].mean()}, "failed (KeyError"),
        ({"a:b": lambda _: "text"}, "failed (ValueError"),
    ],
)
def test_a_function_that_is_missing_or_broken_fails_the_gate(functions: dict[str, Any], says: str) -> None:
    own = gate("a:b", 0.5, better="lower")
    found = own.evaluate(dataclasses.replace(seen(answers()), functions=functions))
    assert found.outcome == "fail" and says in found.sentence and found.remedy


@pytest.mark.parametrize(
    ("metric", "damage", "says"),
    [
        ("macro_f1", {"target": None}, "600 of 600 rows have no right answer"),
        ("f1", {"target": "ok"}, "No row is truly of class 'crack'"),
        ("recall", {"target": "ok"}, "No row is truly of class 'crack'; the only class is 'ok'."),
        (
            "recall",
            {"target": ["ok", "dent"] * 300},
            "'crack'; the classes are 'dent' and 'ok'.",
        ),
        ("balanced_accuracy", {"target": 8}, "No answer of either model is ever right"),
        ("auroc", {"p(crack)": np.nan}, "no finite numbers"),
        ("auroc", {"target": "crack"}, "every row is of it"),
    ],
)
def test_damaged_answers_fail_with_the_reason(metric: str, damage: dict[str, Any], says: str) -> None:
    damaged = answers().assign(**damage)
    found = result(gate(metric), damaged, damaged)
    assert found.outcome == "fail" and says in found.sentence and found.remedy


@pytest.mark.parametrize(("metric", "column"), [("macro_f1", "target"), ("auroc", "p(crack)"), ("recall", "target")])
def test_what_a_metric_needs_and_one_model_lacks_fails(metric: str, column: str) -> None:
    for models in ((answers().drop(columns=column), answers()), (answers(), answers().drop(columns=column))):
        found = result(gate(metric), *models)
        assert found.outcome == "fail" and found.remedy


def test_the_order_of_rows_changes_no_figure() -> None:
    names = [*CLASS_METRICS, "mae", "mean_score", "accuracy"]
    policy = GatePolicy(gates=tuple(gate(name) for name in names))
    candidate, parent = answers(wrong=WRONG), answers(wrong=WRONG[:20])
    shuffled = [rows.sample(frac=1, random_state=seed) for seed, rows in enumerate((candidate, parent))]
    assert decide(policy, seen(*shuffled)) == decide(policy, seen(candidate, parent))


def test_rows_in_buckets_say_what_rows_say() -> None:
    errors = np.random.default_rng(0).gamma(2, 1, (2, 3900))
    choice = MetricChoice(metric="mae")
    bounds = []
    for copies in (1, 2):  # 3,900 rows are drawn one by one, 7,800 in buckets
        frames = [answers(3900 * copies).assign(score=np.tile(row, copies)) for row in errors]
        laid = seen(*frames).beside_parent()
        bounds.append(compare(choice, laid, "parent", 0.1, 0.95, seen(*frames)))
    assert (bounds[1].gain - bounds[1].lower) / (bounds[0].gain - bounds[0].lower) == pytest.approx(0.5**0.5, abs=0.06)

"""Plans of every gate before there is a model: the rows that decide, their number, or why there is none."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta, binom

from quality_gates.gates import Flips, GatePolicy, Limit, PlanLine, plan
from quality_gates.statistics import (
    proportions,
    rows_for_share,
    rows_without_a_difference,
    rows_without_a_miss,
    value_with_bounds,
)
from tests.quality_gates.builders import against, eights, limit, policy, rows
from tests.quality_gates.classed import answers, seen
from tests.quality_gates.gates.every_kind import held

# 1,000 rows: 600 ok, 300 crack, 100 dent; every second one from the north
TARGET = np.repeat(["ok", "crack", "dent"], [600, 300, 100])
KNOWN = pd.DataFrame({"site": np.where(np.arange(1000) % 2 == 0, "north", "south"), "target": TARGET})
NORTH = {"column": "site", "equals": "north"}
ACCURACY = proportions.rows_needed(0.05, 0.05, 0.95)


def planned(known: pd.DataFrame = KNOWN, discordance: float = 0.05, **gate: Any) -> PlanLine:
    given = {"name": "g", "kind": "non_inferiority", "confidence": 0.95} | gate
    if given["kind"] == "non_inferiority":
        given = {"against": "parent", "margin": 0.05} | given
    (line,) = plan(GatePolicy.model_validate({"gates": [given]}), known, discordance)
    return line


def test_a_plan_says_which_gates_the_rows_can_decide() -> None:
    flips = Flips(name="flips", at_most=0.05, confidence=0.95)
    gates = policy(against(margin=0.05), eights(margin=0.02), limit(), flips, against("deployed", margin=0.0))  # type: ignore[arg-type]
    enough, few, budget, flipped, gain = plan(gates, rows(1000)[["label", "site"]], 0.05)
    assert (enough.rows, enough.needed, enough.decidable) == (1000, proportions.rows_needed(0.05, 0.05, 0.95), True)
    assert (few.rows, few.decidable) == (100, False) and "rows more" in few.answer
    assert (budget.rows, budget.answer) == (None, "not a matter of rows")
    assert flipped.needed == rows_for_share(0.025, 0.05, 0.95, 0.8) and flipped.decidable
    assert not gain.decidable


def test_a_slice_without_rows_can_never_be_decided() -> None:
    gates = policy(eights(slice={"column": "label", "equals": 77}))
    for line in plan(gates, rows(100)[["label"]], 0.05):
        assert line.answer.startswith("no: ")


def test_a_recall_is_decided_by_the_rows_of_its_class_alone() -> None:
    whole, north = planned(metric="recall", of="dent"), planned(metric="recall", of="dent", slice=NORTH)
    assert (whole.rows, north.rows) == (100, 50)
    assert ACCURACY is not None and whole.needed == north.needed == ACCURACY > 100
    assert whole.answer == f"no: {ACCURACY - 100:,} rows more, or a wider margin"
    assert planned(metric="recall", of="ok").decidable


def test_classes_of_unlike_size_cost_balanced_accuracy_rows() -> None:
    line = planned(metric="balanced_accuracy")
    assert ACCURACY is not None and line.needed is not None
    spread = (1 / 0.6 + 1 / 0.3 + 1 / 0.1) / 9  # variance of the mean of three recalls beside that of accuracy
    assert line.rows == 1000 and line.needed == pytest.approx(ACCURACY * spread, abs=1)
    alike = KNOWN.assign(target=np.arange(1000) % 4)
    assert planned(alike, metric="balanced_accuracy").needed == ACCURACY


def test_the_rows_that_balanced_accuracy_is_told_to_need_are_about_those_that_show_it() -> None:
    line = planned(metric="balanced_accuracy", margin=0.06)
    assert line.needed is not None
    random, share = np.random.default_rng(3), np.array([0.6, 0.3, 0.1])
    counts = np.maximum(1, np.round(share * line.needed)).astype(int)
    flips = [random.multinomial(n, [0.025, 0.025, 0.95], 20_000) for n in counts]
    gains = np.mean([(flip[:, 0] - flip[:, 1]) / n for flip, n in zip(flips, counts, strict=True)], axis=0)
    passing = float((gains - 1.645 * gains.std() > -0.06).mean())
    assert 0.7 < passing < 0.95  # 4 times in 5 is asked for; Tango's variance at the margin makes it a little more


@pytest.mark.parametrize(
    ("gate", "why"),
    [
        ({"metric": "precision", "of": "dent"}, "its rows are those that the models call 'dent'; 100 truly are"),
        ({"metric": "f1", "of": "dent"}, "beside 100 rows of 'dent', those count that the models call so"),
        ({"metric": "macro_f1"}, "'dent' of 100 rows counts as much as any class"),
    ],
)
def test_what_the_answers_themselves_decide_is_not_known_before(gate: dict[str, Any], why: str) -> None:
    line = planned(**gate)
    assert (line.rows, line.needed, line.decidable) == (None, None, False)
    assert line.answer.startswith("not known before: ") and why in line.answer


@pytest.mark.parametrize(
    ("gate", "why"),
    [
        ({"metric": "auroc", "of": "dent"}, "how alike the models rank 100 rows of 'dent' against 900 others"),
        ({"metric": "mae"}, "how far the errors of the two models part"),
        ({"metric": "rmse"}, "how far the errors of the two models part"),
        ({"metric": "my.module:cost", "better": "lower"}, "how my.module:cost varies between rows"),
        ({"kind": "calibration", "metric": "brier", "at_most": 0.1}, "how far the probabilities are off"),
        ({"kind": "limit", "metric": "mae", "at_most": 0.1}, "how far the errors"),
        ({"kind": "limit", "metric": "balanced_accuracy", "at_least": 0.8}, "what the candidate reaches"),
    ],
)
def test_a_spread_is_not_known_before_but_the_rows_are(gate: dict[str, Any], why: str) -> None:
    line, north = planned(**gate), planned(**gate, slice=NORTH)
    assert (line.rows, line.needed, north.rows) == (1000, None, 500)
    assert line.answer.startswith("not known before: ") and why in line.answer


def test_a_gain_is_never_shown_between_equal_models_whatever_the_metric() -> None:
    gates: list[dict[str, Any]] = [{"metric": "auroc", "of": "ok"}, {"metric": "mae"}, {"metric": "recall", "of": "ok"}]
    for gate in gates:
        assert planned(margin=0.0, **gate).answer == "no: no number of rows shows it between equal models"


@pytest.mark.parametrize("metric", ["recall", "precision", "f1", "auroc"])
def test_a_class_that_no_row_is_of_or_rows_without_answers_can_never_be_decided(metric: str) -> None:
    assert planned(metric=metric, of="scratch").answer == "no: No row is truly of class 'scratch'."
    assert "do not say what the right answer is" in planned(KNOWN[["site"]], metric=metric, of="ok").answer
    one = planned(KNOWN.assign(target="ok"), metric=metric, of="ok")
    assert one.answer.startswith("no: AUROC needs") is (metric == "auroc")


def test_true_is_not_the_class_one() -> None:
    assert planned(KNOWN.assign(target=1), metric="recall", of=True).answer.startswith("no: No row is truly")


def test_a_limit_on_a_share_says_how_many_rows_a_flawless_candidate_needs() -> None:
    few = planned(kind="limit", metric="recall", of="dent", at_least=0.98)
    fewest = rows_without_a_miss(0.98, 0.95)
    assert fewest == 149 and (few.rows, few.needed) == (100, 149)
    assert few.answer == "no: 49 rows more, even without a mistake"
    enough = planned(kind="limit", metric="accuracy", at_least=0.98)
    assert enough.answer.endswith("it depends on what the candidate reaches; 149 do without a mistake")
    assert planned(kind="limit", metric="accuracy", at_least=1.0).answer.startswith("no: not even a flawless")


@pytest.mark.parametrize("at_least", [0.5, 0.9, 0.98])
def test_the_rows_of_a_flawless_candidate_are_the_fewest_that_the_gate_passes_on(at_least: float) -> None:
    fewest = rows_without_a_miss(at_least, 0.95)
    assert fewest is not None
    choice = Limit(name="a", metric="accuracy", at_least=at_least, confidence=0.95).choice
    for n, holds in ((fewest, True), (fewest - 1, False)):
        evidence = seen(answers(n))
        bounds = value_with_bounds(choice, evidence.alone(), 0.95, evidence)
        assert (bounds.n, bounds.lower > at_least) == (n, holds)


@pytest.mark.parametrize(("score", "margin"), [("brier", 0.02), ("brier", 0.1), ("log_loss", 0.05)])
def test_a_calibration_gate_says_the_rows_on_which_alike_probabilities_pass(score: Any, margin: float) -> None:
    gate = {"kind": "calibration", "metric": score, "against": "parent", "margin": margin, "confidence": 0.95}
    fewest = rows_without_a_difference(score, margin, 0.95)
    assert fewest is not None
    for n, holds in ((fewest, True), (fewest - 1, False)):
        line = planned(pd.DataFrame({"site": ["north"] * n}), **gate)
        assert line.answer.startswith("not known before") is holds
        assert (f"about {fewest:,} do" if holds else "1 rows more") in line.answer
        alike = answers(n).assign(**{score: 0.0})
        assert (held(gate, seen(alike, alike)).outcome == "pass") is holds
    assert planned(**(gate | {"margin": 0.0})).answer == "no: no number of rows shows it between equal models"


def test_gates_that_only_what_is_shown_stops_say_so() -> None:
    gain = planned(kind="plausibility", metric="recall", of="dent", gain_at_most=0.05)
    assert (gain.rows, gain.answer) == (100, "yes: only a gain that is shown stops it, and few rows show none")


@pytest.mark.parametrize(("min_rows", "answer"), [(5, "no"), (100, "no"), (250, "yes")])
def test_found_slices_says_what_loss_a_region_of_its_smallest_size_can_show(min_rows: int, answer: str) -> None:
    regions: dict[str, Any] = {"against": "parent", "min_rows": min_rows, "carried": 3, "margin": 0.1}
    line = planned(kind="found_slices", **regions)
    assert line.rows == 1000 and line.answer.startswith(f"{answer}: in a region of {min_rows} rows only a loss of ")
    assert line.decidable is (line.needed is None) and (line.decidable or "set `min_rows` to" in line.answer)


def test_parity_and_representativeness_are_no_matter_of_rows() -> None:
    parity = {"check": "torch_onnx", "at_most": 0.1, "rows_at_most": 0.0}
    (line,) = plan(GatePolicy.model_validate({"gates": [{"name": "p", "kind": "parity", **parity}]}), KNOWN, 0.05)
    assert (line.rows, line.answer) == (None, "not a matter of rows")


@pytest.mark.parametrize(("share", "at_most"), [(0.01, 0.02), (0.005, 0.05)])
def test_rows_for_a_share_are_the_fewest(share: float, at_most: float) -> None:
    needed = rows_for_share(share, at_most, 0.95, 0.8)
    assert needed is not None
    most = max(count for count in range(needed) if beta.ppf(0.95, count + 1, needed - count) <= at_most)
    assert binom.cdf(most, needed, share) >= 0.8
    assert rows_for_share(0.05, 0.05, 0.95, 0.8) is None

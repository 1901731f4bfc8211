"""Flips, parity, calibration, plausibility, representativeness and limits on metrics: held, missed, and damaged."""

import dataclasses
import re
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from quality_gates.evidence import BatchLatency, Evidence, ModelEvidence, ParityMeasurement
from tests.quality_gates.builders import failed, resources
from tests.quality_gates.classed import answers, seen
from tests.quality_gates.gates.every_kind import (
    EVERY,
    FLIPS,
    METRIC,
    PARITY,
    PLAUSIBLE,
    SAME,
    SITES,
    compared,
    good,
    held,
)


@pytest.mark.parametrize("gate", EVERY, ids=lambda gate: gate["kind"])
def test_a_flawless_candidate_passes(gate: dict[str, Any]) -> None:
    assert held(gate, good()).outcome == "pass"


@pytest.mark.parametrize("gate", EVERY, ids=lambda gate: gate["kind"])
def test_what_was_not_measured_never_passes(gate: dict[str, Any]) -> None:
    result = held(gate, Evidence(failed(), failed(), failed()))
    assert result.outcome == "fail" and result.blocking and result.sentence and result.remedy


def test_rows_that_flip_count_against_the_deployed_model_with_an_exact_bound() -> None:
    result = held(FLIPS, seen(answers(wrong=range(30)), deployed=answers(wrong=range(30, 60))))
    assert (result.outcome, result.lost, result.gained, result.threshold) == ("fail", 30, 30, 0.02)
    assert result.estimate == 0.05 and result.lower is not None and result.lower > 0.02
    unsure = held(FLIPS, seen(answers(wrong=range(9))))
    assert unsure.outcome == "inconclusive" and unsure.rows_needed is not None and unsure.rows_needed > 600


def test_the_bound_of_no_flip_in_n_rows_is_the_textbooks() -> None:
    assert held(FLIPS, seen(answers())).upper == pytest.approx(1 - 0.05 ** (1 / 600))


def test_flips_on_a_first_deployment_do_not_apply_but_damage_fails() -> None:
    first = dataclasses.replace(good(), deployed=None)
    assert held(FLIPS, first).outcome == "not_applicable"
    broken = ModelEvidence(answers().assign(score=0.5), resources())
    assert held(FLIPS, dataclasses.replace(first, candidate=broken)).outcome == "fail"


@pytest.mark.parametrize(
    "measured",
    [
        (),
        (SAME, SAME),
        (dataclasses.replace(SAME, check="torch_onnx"),),
        (dataclasses.replace(SAME, failure="It crashed."),),
        (dataclasses.replace(SAME, rows=0),),
        (dataclasses.replace(SAME, largest=float("nan")),),
        (dataclasses.replace(SAME, differing=257),),
        (dataclasses.replace(SAME, largest=0.01),),
        (dataclasses.replace(SAME, differing=1),),
    ],
)
def test_parity_that_is_missing_impossible_or_missed_fails(measured: tuple[ParityMeasurement, ...]) -> None:
    result = held(PARITY, dataclasses.replace(good(), parity=measured))
    assert result.outcome == "fail" and result.remedy


def test_a_gain_that_is_too_good_stops_the_line_and_one_that_is_not_shown_does_not() -> None:
    assert held(PLAUSIBLE, seen(answers(), answers(wrong=range(80)))).outcome == "fail"
    assert held(PLAUSIBLE, seen(answers(), answers(wrong=range(36)))).outcome == "pass"
    assert held(PLAUSIBLE | {"metric": "macro_f1"}, seen(answers(), answers(wrong=range(80)))).outcome == "fail"


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [(("alike", "differs"), "fail"), (("alike", "undecided"), "inconclusive"), ((), "fail"), (("fine",), "fail")],
)
def test_what_came_of_the_comparison_with_the_sites_decides(outcomes: tuple[str, ...], expected: str) -> None:
    evidence = dataclasses.replace(good(), representativeness=compared(*outcomes))
    assert held(SITES, evidence).outcome == expected


def test_a_limit_on_a_metric_is_held_by_its_bound() -> None:
    cracks = list(range(1, 600, 3))
    failing = held(METRIC, seen(answers(wrong=cracks[:60])))
    assert failing.outcome == "fail" and failing.sentence.startswith("Recall of class crack: ")
    assert failing.remedy == "The candidate must reach 90 % here, or the gate must allow less."
    assert held(METRIC, seen(answers(wrong=cracks[:16]))).outcome == "inconclusive"
    error = {"kind": "limit", "metric": "mae", "at_most": 2.0, "confidence": 0.95}
    scores = np.random.default_rng(0).gamma(2, 0.5, 600)
    assert held(error, seen(answers().assign(score=scores))).outcome == "pass"
    failing = held(error, seen(answers().assign(score=3 * scores)))
    assert failing.outcome == "fail"
    assert failing.remedy == "The candidate must come down to 2 here, or the gate must allow more."


@pytest.mark.parametrize("gate", [
    {"kind": "limit", "metric": "mae", "at_most": 2.0, "confidence": 0.95},
    {"kind": "non_inferiority", "metric": "rmse", "against": "parent", "margin": 0.5, "confidence": 0.95},
])  # fmt: skip
def test_a_mean_error_says_which_larger_errors_the_rows_could_not_show(gate: dict[str, Any]) -> None:
    errors = answers().assign(score=-np.random.default_rng(0).gamma(2, 0.5, 600))
    result = held(gate, seen(errors, errors))
    assert result.outcome == "pass"
    (unseen,) = result.findings
    assert unseen in result.sentence and unseen.startswith("Not seen: up to 0.5 % of all rows may err more than any")
    hidden = errors.assign(score=np.where(np.arange(600) == 0, -1000.0, errors["score"]))
    failing = held(gate, seen(hidden, errors))
    assert failing.outcome != "pass" and not failing.findings


ERRORS = [
    ({"kind": "limit", "metric": "mae", "at_most": 1.2, "confidence": 0.95}, 1.2),
    ({"kind": "non_inferiority", "metric": "mae", "against": "parent", "margin": 0.2, "confidence": 0.95}, 1.2),
]


@pytest.mark.parametrize(("gate", "bound"), ERRORS, ids=["limit", "margin"])
def test_a_largest_error_that_could_hide_leaves_a_mean_error_open(gate: dict[str, Any], bound: float) -> None:
    """Of 600 rows none errs by 100, as 0.5 % of all rows may: in the mean, that would be 0.5 more."""
    errors = answers().assign(score=-np.random.default_rng(0).gamma(2, 0.5, 600))
    assert held(gate, seen(errors, errors)).outcome == "pass"
    assert held(gate | {"largest_error": 10.0}, seen(errors, errors)).outcome == "pass"
    open_one = held(gate | {"largest_error": 100.0}, seen(errors, errors))
    assert open_one.outcome == "inconclusive" and "; a row may err by 100." in open_one.sentence
    assert re.fullmatch(r"About [\d,]+ rows without such an error would show that .*", str(open_one.remedy))
    worse = errors.assign(score=3 * errors["score"])
    assert held(gate | {"largest_error": 100.0}, seen(worse, errors)).outcome == "fail"
    assert bound > float(errors["score"].abs().mean())


@pytest.mark.parametrize(("gate", "bound"), ERRORS, ids=["limit", "margin"])
def test_a_largest_error_that_a_row_exceeds_is_told(gate: dict[str, Any], bound: float) -> None:
    errors = answers().assign(score=-np.random.default_rng(0).gamma(2, 0.5, 600))
    result = held(gate | {"largest_error": bound}, seen(errors, errors))
    assert result.outcome == "fail" and "more than the `largest_error` of 1.2" in result.sentence


def test_only_a_mean_of_errors_has_a_largest_error() -> None:
    for gate in (METRIC, {"kind": "limit", "resource": "size_bytes", "at_most": 1.0}):
        with pytest.raises(ValidationError, match=r"largest_error|keys of a metric"):
            held(gate | {"largest_error": 3.0}, good())


def test_a_share_of_rows_has_no_tail_that_rows_could_hide() -> None:
    assert not held(METRIC, good()).findings


def test_a_latency_at_a_batch_size_is_that_one() -> None:
    batch = {"kind": "limit", "resource": "latency_p50_ms", "batch_size": 8, "at_most": 1.0}
    batches = (BatchLatency(batch_size=8, latency_p50_ms=0.9, latency_p99_ms=2),)
    fits = Evidence(ModelEvidence(None, resources(), batches=batches), None, None)
    assert held(batch, fits).candidate_value == 0.9
    assert held(batch | {"batch_size": 16}, fits).outcome == "fail"


def test_a_resource_that_few_machines_can_measure_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"most machines show no counter of energy.*remove the gate"):
        held({"kind": "limit", "resource": "energy_mj", "at_most": 5.0}, good())

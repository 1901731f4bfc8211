from dataclasses import replace

import pytest

from quality_gates.evidence import BatchLatency, Evidence, LatencyInTurns, ModelEvidence, RepeatedFigures
from quality_gates.gates import Limit
from quality_gates.verdict import Verdict
from tests.quality_gates.builders import evidence, failed, limit, resources, turn_latency


def _measured(**figures: float) -> ModelEvidence:
    return ModelEvidence(rows=None, resources=resources(**figures))


def test_a_figure_within_its_limit_passes() -> None:
    result = limit("size_bytes", 65_536).evaluate(evidence(_measured(size_bytes=57_312)))
    assert (result.outcome, result.candidate_value, result.threshold, result.remedy) == ("pass", 57_312, 65_536, None)
    assert result.sentence == "File size: 57,312 bytes, within the limit of 65,536 bytes."


def test_the_limit_itself_passes() -> None:
    assert limit("latency_p99_ms", 0.4).evaluate(evidence()).outcome == "pass"


def test_a_figure_over_its_limit_fails_and_says_by_how_much() -> None:
    result = limit("latency_p50_ms", 2).evaluate(evidence(_measured(latency_p50_ms=2.5)))
    assert result.outcome == "fail" and result.blocking
    assert result.sentence == "Latency p50: 2.50 ms, over the limit of 2 ms."
    assert result.remedy == "0.5 ms too much: make it 1.25 times faster, or raise the device's budget."


def test_a_figure_barely_over_never_asks_for_a_factor_of_one() -> None:
    result = limit("size_bytes", 65_536).evaluate(evidence(_measured(size_bytes=65_537)))
    assert result.remedy is not None
    assert "1 bytes too much: make it 1.01 times smaller" in result.remedy


@pytest.mark.parametrize("resource", ["size_bytes", "load_ms", "peak_rss_mb", "latency_p50_ms", "latency_p99_ms"])
def test_each_limit_reads_its_own_figure(resource: str) -> None:
    assert limit(resource, 1e9).evaluate(evidence()).outcome == "pass"
    over = limit(resource, 1e9).evaluate(evidence(_measured(**{resource: 2_000_000_000})))
    assert (over.outcome, over.metric) == ("fail", resource)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), -1.0, 0.0])
def test_an_impossible_figure_fails(value: float) -> None:
    result = limit("latency_p50_ms", 2).evaluate(evidence(_measured(latency_p50_ms=value)))
    assert (result.outcome, result.candidate_value) == ("fail", None)
    assert "which cannot be" in result.sentence and result.remedy


def test_memory_may_round_to_nothing_but_not_below() -> None:
    gate = limit("peak_rss_mb", 10)
    assert gate.evaluate(evidence(_measured(peak_rss_mb=0.0))).outcome == "pass"
    assert gate.evaluate(evidence(_measured(peak_rss_mb=-0.5))).outcome == "fail"


def test_a_candidate_without_figures_fails_with_the_reason() -> None:
    missing = limit().evaluate(evidence(ModelEvidence(rows=None, resources=None)))
    crashed = limit().evaluate(evidence(failed("it ran past its limit of 60 s.")))
    assert missing.outcome == crashed.outcome == "fail"
    assert "resources were not measured" in missing.sentence
    assert "ran past its limit of 60 s." in crashed.sentence


def _timed(turns: LatencyInTurns, **figures: float) -> Evidence:
    return replace(evidence(_measured(**figures)), turns=(turns,))


BUSY = LatencyInTurns(1, {"candidate": turn_latency(undisturbed=3)})
QUIET = LatencyInTurns(1, {"candidate": turn_latency()})


@pytest.mark.parametrize("resource", ["latency_p50_ms", "latency_p99_ms"])
def test_a_latency_over_its_limit_on_a_busy_machine_is_asked_again(resource: str) -> None:
    gate = limit(resource, 2)
    result = gate.evaluate(_timed(BUSY, **{resource: 2.5}))
    assert (result.outcome, result.blocking, result.asked_again) == ("inconclusive", True, True)
    assert (result.candidate_value, result.threshold) == (2.5, 2)
    assert "over the limit of 2 ms, but the machine was too busy to tell: 3 of 400 calls kept" in result.sentence
    assert Verdict.of((result,)).undecided_by_noise
    quiet = gate.evaluate(_timed(QUIET, **{resource: 2.5}))
    assert (quiet.outcome, quiet.asked_again) == ("fail", False)


def test_a_warning_on_inconclusive_rows_lets_no_busy_machine_through() -> None:
    gate = limit("latency_p50_ms", 2).model_copy(update={"on_inconclusive": "warn"})
    assert gate.evaluate(_timed(BUSY, latency_p50_ms=2.5)).blocking


def test_a_latency_within_its_limit_holds_whatever_the_load() -> None:
    result = limit("latency_p50_ms", 2).evaluate(_timed(BUSY, latency_p50_ms=1.9))
    assert (result.outcome, result.asked_again) == ("pass", False)


def test_bytes_and_memory_are_not_the_machines() -> None:
    for resource in ("size_bytes", "peak_rss_mb"):
        assert limit(resource, 1).evaluate(_timed(BUSY, **{resource: 2.0})).outcome == "fail"


def test_a_load_time_is_asked_again_where_the_load_waited() -> None:
    waited = LatencyInTurns(1, {"candidate": turn_latency(load_ms=90.0)})
    result = limit("load_ms", 50).evaluate(_timed(waited, load_ms=90.0))
    assert (result.outcome, result.asked_again) == ("inconclusive", True)
    assert "87.1 of its 90.0 ms were spent waiting for a CPU or the disk" in result.sentence
    assert limit("load_ms", 50).evaluate(_timed(BUSY, load_ms=90.0)).outcome == "fail"  # its own load did not wait


def test_a_candidate_that_could_not_be_timed_in_turns_is_asked_again() -> None:
    killed = LatencyInTurns(1, {}, {"candidate": "it was ended by SIGKILL"})
    result = limit("latency_p50_ms", 2).evaluate(_timed(killed, latency_p50_ms=2.5))
    assert result.asked_again and "too busy to tell: it was ended by SIGKILL." in result.sentence


def test_several_rows_at_a_time_have_turns_of_their_own() -> None:
    gate = Limit.model_validate({"name": "eight", "resource": "latency_p50_ms", "at_most": 2.0, "batch_size": 8})
    seen = _timed(BUSY)
    seen = replace(seen, candidate=replace(seen.candidate, batches=(BatchLatency(8, 2.5, 3.0),)))
    assert gate.evaluate(seen).outcome == "fail"
    busy = replace(seen, turns=(QUIET, replace(BUSY, batch_size=8)))
    assert gate.evaluate(busy).asked_again


def _repeated(*values: float, resource: str = "latency_p50_ms", disturbed: str = "", size: int = 1) -> Evidence:
    said = {resource: disturbed} if disturbed else {}
    return replace(evidence(), repeated=(RepeatedFigures(size, {resource: values}, said),))


@pytest.mark.parametrize(
    ("bound", "outcome"), [(2.5, "pass"), (2.1, "inconclusive"), (2.0, "inconclusive"), (1.7, "fail")]
)
def test_a_time_is_held_by_its_bounds_over_fresh_processes(bound: float, outcome: str) -> None:
    result = limit("latency_p50_ms", bound).evaluate(_repeated(1.9, 2.0, 2.1, 2.05, 1.95))
    assert (result.outcome, result.asked_again) == (outcome, False)
    assert result.lower is not None and result.upper is not None and result.estimate is not None
    assert result.lower < result.estimate < result.upper
    assert "2.00 ms (95 % bounds 1.89 to 2.11 over 5 processes)" in result.sentence
    assert result.blocking and (result.remedy is None) is (outcome == "pass")


def test_a_value_within_noise_of_its_limit_says_how_far_away_it_must_be() -> None:
    result = limit("latency_p50_ms", 2.0).evaluate(_repeated(1.9, 2.0, 2.1, 2.05, 1.95))
    assert "too close to tell from the limit of 2 ms" in result.sentence
    assert result.remedy is not None and "it varies too much to tell: make it 1.06 times faster" in result.remedy
    warns = limit("latency_p50_ms", 2.0).model_copy(update={"on_inconclusive": "warn"})
    assert not warns.evaluate(_repeated(1.9, 2.0, 2.1, 2.05, 1.95)).blocking


def test_memory_is_held_by_its_bounds_too_and_bytes_are_exact() -> None:
    seen = _repeated(11.0, 12.0, 13.0, resource="peak_rss_mb")
    assert limit("peak_rss_mb", 12.5).evaluate(seen).outcome == "inconclusive"
    assert limit("size_bytes", 50_000).evaluate(seen).outcome == "pass"


def test_processes_that_were_disturbed_are_asked_again_unless_they_keep_the_limit_all_the_same() -> None:
    busy = _repeated(1.9, 2.0, 2.1, disturbed="3 of 400 calls kept the CPU")
    assert limit("latency_p50_ms", 2.0).evaluate(busy).asked_again
    assert limit("latency_p50_ms", 1.0).evaluate(busy).asked_again
    assert limit("latency_p50_ms", 3.0).evaluate(busy).outcome == "pass"


def test_a_latency_of_several_rows_has_repeats_of_its_own() -> None:
    gate = Limit.model_validate({"name": "eight", "resource": "latency_p50_ms", "at_most": 2.0, "batch_size": 8})
    seen = _repeated(1.9, 2.0, 2.1, size=8)
    seen = replace(seen, candidate=replace(seen.candidate, batches=(BatchLatency(8, 1.0, 1.0),)))
    assert gate.evaluate(seen).outcome == "inconclusive"
    assert limit("latency_p50_ms", 2.0).evaluate(seen).outcome == "pass"

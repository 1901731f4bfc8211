import pytest

from quality_gates.evidence import ModelEvidence
from tests.quality_gates.builders import evidence, failed, limit, resources


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

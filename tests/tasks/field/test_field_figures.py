"""Figures of a report: quantiles of a histogram, shares of requests, drift and the agreement of a shadow."""

from pathlib import Path

import pytest

from edge_runtime.reports import OUTCOMES, Histogram, TensorDrift
from tasks.field import figures_of, shadow_agreement, worst_drift
from tasks.field.field_figures import quantile
from tests.tasks.field.reporting_device import DIGEST, ReportingDevice, histogram, in_field, served


@pytest.mark.parametrize(
    ("counts", "share", "expected"),
    [
        ((0, 0, 0), 0.5, None),
        ((4, 0, 0), 0.5, 0.5),
        ((2, 2, 0), 0.5, 1.0),
        ((0, 4, 0), 0.5, 2.0),
        ((0, 4, 0), 1.0, 3.0),
        ((1, 0, 3), 0.95, 3.0),
    ],
)
def test_a_quantile_lies_between_the_bounds_of_its_bin(
    counts: tuple[int, ...], share: float, expected: float | None
) -> None:
    assert quantile(Histogram((1.0, 3.0), counts, 0.0), share) == expected


def test_a_report_becomes_metrics_of_each_model(tmp_path: Path) -> None:
    report = ReportingDevice(tmp_path).report(5, in_field("digits", "12"), in_field("faces", "", served=None))
    figures = figures_of(report, "press", "2026-11-27T22:05:00Z")
    assert figures.number == 5 and figures.made_ms == 1795816905000
    metrics = dict(figures.metrics)
    assert 2.5 < metrics.pop("digits.latency_p50_ms") < metrics.pop("digits.latency_p95_ms") <= 5
    assert 1 < metrics.pop("digits.shadow_compute_p50_ms") <= 2.5
    assert metrics == {
        "digits.release": 12, "digits.requests": 10, "digits.failed_share": 0.1, "digits.late_share": 0.1,
        "digits.rss_mb": 64, "digits.drift.x": 0.3, "digits.drift_largest": 0.3, "digits.shadow_rows": 8,
        "digits.shadow_failed": 1, "digits.shadow_skipped": 2, "digits.shadow_agreement": 0.75,
        "digits.shadow_largest_gap": 0.5,
    }  # fmt: skip


def test_tags_say_what_runs_there(tmp_path: Path) -> None:
    report = ReportingDevice(tmp_path).report(5, in_field("digits", "12", last_update="held back: busy"))
    tags = figures_of(report, "press", "2026-11-27T22:05:00Z").tags
    assert tags == {
        "edgewright.field.name": "press", "edgewright.field.profile": "bench", "edgewright.field.runtime": "0.1.0",
        "edgewright.field.made_at": "2026-11-27T22:01:45Z", "edgewright.field.heard_at": "2026-11-27T22:05:00Z",
        "edgewright.field.digits.release": "12", "edgewright.field.digits.digest": DIGEST,
        "edgewright.field.digits.health": "serving", "edgewright.field.digits.last_update": "held back: busy",
        "edgewright.field.digits.since": "2026-11-27T20:00:00Z", "edgewright.field.digits.shadow_release": "2",
    }  # fmt: skip


def test_where_nothing_was_counted_there_are_no_shares(tmp_path: Path) -> None:
    idle = served(
        requests=dict.fromkeys(OUTCOMES, 0), latency_s=histogram(), drift=(TensorDrift("x", 0, (0,) * 10, 0.0),),
        shadow=None,
    )  # fmt: skip
    model = in_field("digits", "a release by name", served=idle)
    assert worst_drift(model) is None and shadow_agreement(model) is None
    figures = figures_of(ReportingDevice(tmp_path).report(1, model), "press", "2026-11-27T22:05:00Z")
    assert figures.metrics == {"digits.requests": 0, "digits.rss_mb": 64}

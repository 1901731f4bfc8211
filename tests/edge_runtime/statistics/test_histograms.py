"""Histograms and settings."""

import pytest

from edge_runtime.serving import Histogram, ServingError, ServingSettings
from edge_runtime.statistics import HistogramCounter


def test_observations_lie_at_or_below_their_bound() -> None:
    counter = HistogramCounter([1.0, 2.0])
    for value in (0.5, 1.0, 1.5, 2.0, 7.0):
        counter.add(value)
    assert counter.read() == Histogram((1.0, 2.0), (2, 2, 1), 12.0)


def test_a_histogram_counts_what_prometheus_wants() -> None:
    histogram = Histogram((1.0, 2.0), (2, 2, 1), 12.0)
    assert histogram.cumulative == (2, 4, 5)
    assert histogram.count == 5


def test_what_was_read_does_not_change() -> None:
    counter = HistogramCounter([1.0])
    before = counter.read()
    counter.add(0.5)
    assert before.count == 0 and counter.read().count == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("most_waiting", 0),
        ("most_waiting", 1.5),
        ("most_waiting", True),
        ("most_waiting_mb", 0.0),
        ("deadline_s", 0.0),
        ("deadline_s", float("inf")),
        ("window_ms", -1.0),
        ("window_ms", 101.0),
        ("poll_s", "1"),
        ("drain_s", float("nan")),
    ],
)
def test_settings_that_make_no_sense_are_named(name: str, value: object) -> None:
    with pytest.raises(ServingError, match=name):
        ServingSettings(**{name: value})  # type: ignore[arg-type]

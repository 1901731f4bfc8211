"""Figures of a report as MLflow keeps them: metrics and tags, of each model under its name.

A serving process counts since it began, and so do these figures: after a restart they begin anew.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from edge_runtime.reports import FieldReport, ModelInField
from edge_runtime.statistics import TIME, Histogram, ServedInField, ShadowStatistics
from tasks.registry import FieldFigures

RUNNING = ("serving", "installed")
"""Healths of a model that is in the field: one that is damaged or missing answers nobody."""
_LATE = ("shed", "deadline")
_MIB = 1 << 20


def figures_of(report: FieldReport, name: str, taken_at: str) -> FieldFigures:
    """Return what MLflow keeps of a report from the device that is enrolled under a name."""
    metrics = {f"{model.model}.{key}": value for model in report.models for key, value in _metrics(model)}
    tags = {f"{model.model}.{key}": text for model in report.models for key, text in _tags(model)}
    said = {
        "name": name, "profile": report.profile, "runtime": report.runtime, "made_at": report.made_at,
        "heard_at": taken_at,
    }  # fmt: skip
    made = datetime.strptime(report.made_at, TIME).replace(tzinfo=UTC)
    every = {f"edgewright.field.{key}": text for key, text in (tags | said).items()}
    return FieldFigures(report.number, int(made.timestamp() * 1000), metrics, every)


def worst_drift(model: ModelInField) -> float | None:
    """Return the largest population stability index of a model's tensors; None where none was looked at."""
    drift = () if model.served is None else model.served.drift
    return max((each.index for each in drift if each.rows), default=None)


def shadow_agreement(model: ModelInField) -> float | None:
    """Return the share of rows on which a candidate in shadow answers as the model does; None without such rows."""
    shadow = None if model.served is None else model.served.shadow
    return shadow.agreeing_rows / shadow.rows if shadow is not None and shadow.rows else None


def quantile(histogram: Histogram, share: float) -> float | None:
    """Return a quantile of a histogram, straight between the bounds of its bin; None without observations.

    Above the last bound nothing is known: the bound itself is returned, as Prometheus does.
    """
    if not histogram.count:
        return None
    rank, below = share * histogram.count, 0
    lows = (0.0, *histogram.bounds)
    for low, high, count in zip(lows, histogram.bounds, histogram.counts, strict=False):
        if count and below + count >= rank:
            return low + (high - low) * (rank - below) / count
        below += count
    return histogram.bounds[-1]


def _metrics(model: ModelInField) -> Iterator[tuple[str, float]]:
    """Yield the figures of one model that are known."""
    if model.release.isascii() and model.release.isdecimal() and len(model.release) <= 15:
        yield "release", float(model.release)
    if model.served is not None:
        found = [*_served(model.served), ("drift_largest", worst_drift(model))]
        yield from ((key, float(value)) for key, value in found if value is not None)


def _served(served: ServedInField) -> Iterator[tuple[str, float | None]]:
    asked = sum(served.requests.values())
    yield "requests", asked
    if asked:
        yield "failed_share", served.requests["failed"] / asked
        yield "late_share", sum(served.requests[outcome] for outcome in _LATE) / asked
    for percent in (50, 95):
        seconds = quantile(served.latency_s, percent / 100)
        yield f"latency_p{percent}_ms", None if seconds is None else 1000 * seconds
    yield "rss_mb", served.rss_bytes / _MIB
    yield from ((f"drift.{each.tensor}", each.index) for each in served.drift if each.rows)
    if served.shadow is not None:
        yield from _shadow(served.shadow)


def _shadow(shadow: ShadowStatistics) -> Iterator[tuple[str, float | None]]:
    yield "shadow_rows", shadow.rows
    yield "shadow_failed", shadow.failed
    yield "shadow_skipped", shadow.skipped
    if shadow.rows:
        yield "shadow_agreement", shadow.agreeing_rows / shadow.rows
        yield "shadow_largest_gap", shadow.largest_gap
    seconds = quantile(shadow.compute_s, 0.5)
    yield "shadow_compute_p50_ms", None if seconds is None else 1000 * seconds


def _tags(model: ModelInField) -> Sequence[tuple[str, str]]:
    """Return the words about one model; an empty text says that it is so no more."""
    served = model.served
    shadow = None if served is None else served.shadow
    return (
        ("release", model.release),
        ("digest", model.digest),
        ("health", model.health),
        ("last_update", model.last_update),
        ("since", "" if served is None else served.since),
        ("shadow_release", "" if shadow is None else shadow.release),
    )

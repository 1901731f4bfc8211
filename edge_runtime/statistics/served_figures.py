"""Figures of one model that a serving process tells, for reports: counted, written as JSON, and read strictly."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from edge_runtime.errors import ReportError
from edge_runtime.statistics.histograms import Histogram
from edge_runtime.statistics.shadow_statistics import ShadowStatistics
from edge_runtime.statistics.strict_record import StrictRecord
from edge_runtime.statistics.tensor_drift import BINS, TensorDrift

OUTCOMES = ("ok", "bad_request", "shed", "deadline", "cancelled", "failed")
"""Ends of a request: the keys of the requests that a model has counted."""
MOST_TENSORS = 64
"""Tensors of a model whose drift is told."""
MOST_NAME = 256
"""Characters of a tensor's name."""
MOST_RELEASE = 128
_MOST_BOUNDS = 64


@dataclass(frozen=True)
class ServedInField:
    """Figures of one model since its serving process began at `since`, in UTC by the device's clock.

    `requests` counts by OUTCOMES. `latency_s` is the whole time of answered requests, in seconds. `rss_bytes` is the
    memory of the serving process, which may serve other models too. `drift` and `shadow` begin anew with each version.
    """

    since: str
    requests: Mapping[str, int]
    latency_s: Histogram
    rss_bytes: int
    drift: tuple[TensorDrift, ...]
    shadow: ShadowStatistics | None

    def to_plain(self) -> dict[str, Any]:
        """Return the figures as a dict that JSON can hold."""
        return asdict(self) | {"requests": dict(self.requests)}


def served_in_field(value: object, where: str) -> ServedInField:
    """Read strictly what ServedInField.to_plain wrote. Raises ReportError, which names the field."""
    record = StrictRecord(value, where, ("since", "requests", "latency_s", "rss_bytes", "drift", "shadow"))
    requests = StrictRecord(record.value("requests"), record.where("requests"), OUTCOMES)
    drift = tuple(_drift(item, name) for item, name in record.items("drift", MOST_TENSORS))
    if len({each.tensor for each in drift}) != len(drift):
        raise ReportError(f"{record.where('drift')} must have each tensor once.")
    return ServedInField(
        record.time("since"),
        {outcome: requests.whole(outcome) for outcome in OUTCOMES},
        _histogram(record.value("latency_s"), record.where("latency_s")),
        record.whole("rss_bytes"),
        drift,
        _shadow(record.value("shadow"), record.where("shadow")) if record.has("shadow") else None,
    )


def _histogram(value: object, where: str) -> Histogram:
    record = StrictRecord(value, where, ("bounds", "counts", "sum"))
    bounds = record.numbers("bounds", _MOST_BOUNDS, 1)
    if any(below >= above for below, above in pairwise(bounds)):
        raise ReportError(f"{record.where('bounds')} must ascend.")
    return Histogram(bounds, record.wholes("counts", len(bounds) + 1, len(bounds) + 1), record.number("sum"))


def _drift(value: object, where: str) -> TensorDrift:
    record = StrictRecord(value, where, ("tensor", "rows", "counts", "index"))
    name, rows = record.text("tensor", MOST_NAME), record.whole("rows")
    return TensorDrift(name, rows, record.wholes("counts", BINS, BINS), record.number("index"))


def _shadow(value: object, where: str) -> ShadowStatistics:
    record = StrictRecord(value, where, tuple(ShadowStatistics.__dataclass_fields__))
    rows = record.whole("rows")
    return ShadowStatistics(
        record.text("release", MOST_RELEASE, may_be_empty=True),
        record.sha256("digest"),
        record.whole("requests"),
        rows,
        record.whole("agreeing_rows", most=rows),
        record.number("largest_gap"),
        record.whole("failed"),
        record.whole("skipped"),
        _histogram(record.value("compute_s"), record.where("compute_s")),
    )

"""Metrics of a server: what its HTTP side counts, what its models counted, and the process's own figures."""

import os
import resource
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from edge_runtime.server.exposition import Exposition, Labels
from edge_runtime.serving import SECONDS, HistogramCounter, ServedModels, ShadowStatistics

_OF_MODELS = "edgewright_inference"
_OF_SHADOWS = "edgewright_shadow"
_STATUS_FIELDS_BEFORE_START = 19  # in /proc/self/stat, after the name of the program


class ServerMetrics:
    """Counters of the HTTP side by `handler`, the name of what a request asks for; they belong to one event loop."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._seconds: dict[str, HistogramCounter] = {}
        self._started = _process_start()
        self.in_progress = 0
        self.turned_away = 0

    def count(self, handler: str, method: str, status: int, seconds: float) -> None:
        """Count a request that came to its end."""
        self._requests[handler, method, status] += 1
        self._seconds.setdefault(handler, HistogramCounter(SECONDS)).add(seconds)

    def text(self, models: ServedModels) -> str:
        """Return everything in Prometheus' text format."""
        made = Exposition()
        _add_models(made, models)
        made.counter(
            "http_requests_total",
            "Requests over HTTP, by what they asked for and the status that they got.",
            (
                ({"handler": handler, "method": method, "status": str(status)}, count)
                for (handler, method, status), count in sorted(self._requests.items())
            ),
        )
        made.histogram(
            "http_request_duration_seconds",
            "Time from the head of a request to the end of its response.",
            (({"handler": handler}, times.read()) for handler, times in sorted(self._seconds.items())),
        )
        made.gauge("http_requests_in_progress", "Requests that are being answered.", [({}, self.in_progress)])
        made.counter(
            "http_connections_turned_away_total", "Connections that were one too many, closed at once.",
            [({}, self.turned_away)],
        )  # fmt: skip
        self._add_process(made)
        return made.text()

    def _add_process(self, made: Exposition) -> None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        virtual, resident = (int(pages) for pages in Path("/proc/self/statm").read_text().split()[:2])
        for name, explanation, value in (
            ("start_time_seconds", "Start of the process since the unix epoch in seconds.", self._started),
            ("resident_memory_bytes", "Resident memory size in bytes.", resident * resource.getpagesize()),
            ("virtual_memory_bytes", "Virtual memory size in bytes.", virtual * resource.getpagesize()),
            ("open_fds", "Number of open file descriptors.", len(os.listdir("/proc/self/fd"))),  # noqa: PTH208
            ("max_fds", "Maximum number of open file descriptors.", resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
        ):
            made.gauge(f"process_{name}", explanation, [({}, value)])
        spent = used.ru_utime + used.ru_stime
        made.counter("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", [({}, spent)])


def _add_models(made: Exposition, models: ServedModels) -> None:
    ready = {name: models.is_ready(name) for name in models.names()}
    described = [models.description(name) for name in ready if ready[name]]
    made.gauge(
        "edgewright_model_info",
        "The version of a model that serves now; the value is 1.",
        (
            ({"model": each.name, "version": each.version, "release": each.release, "digest": each.digest}, 1)
            for each in described
        ),
    )
    made.gauge(
        "edgewright_model_ready",
        "Whether a model answers requests (1) or not (0).",
        (({"model": name}, is_ready) for name, is_ready in ready.items()),
    )
    found = [({"model": each.model}, each) for each in models.statistics()]
    made.counter(
        f"{_OF_MODELS}_requests_total",
        "Requests for an inference, by their outcome.",
        (({**labels, "outcome": outcome}, count) for labels, each in found for outcome, count in each.requests.items()),
    )
    for name, explanation, attribute in (
        (f"{_OF_MODELS}_rows_total", "Rows that a model answered.", "rows"),
        (f"{_OF_MODELS}_batches_total", "Batches that a model answered.", "batches"),
        ("edgewright_model_swaps_total", "Versions that took another's place.", "swaps"),
        ("edgewright_model_failed_swaps_total", "Versions that did not load.", "failed_swaps"),
    ):
        made.counter(name, explanation, ((labels, getattr(each, attribute)) for labels, each in found))
    made.gauge(
        f"{_OF_MODELS}_queued_requests", "Requests that wait for their batch.",
        ((labels, each.queued) for labels, each in found),
    )  # fmt: skip
    for name, explanation, attribute in (
        ("batch_rows", "Rows of a batch.", "batch_rows"),
        ("queue_duration_seconds", "Time of a request until its batch began.", "queue_s"),
        ("compute_duration_seconds", "Time of a batch in the model.", "compute_s"),
        ("duration_seconds", "Whole time of a request that was answered.", "latency_s"),
    ):
        samples = ((labels, getattr(each, attribute)) for labels, each in found)
        made.histogram(f"{_OF_MODELS}_{name}", explanation, samples)
    _add_shadows(made, [(labels, each.shadow) for labels, each in found if each.shadow is not None])
    drifts = [({**labels, "tensor": drift.tensor}, drift) for labels, each in found for drift in each.drift]
    for name, explanation, attribute in (
        ("index", "Population stability index of a tensor's values against the calibration rows.", "index"),
        ("rows", "Rows that were looked at for it.", "rows"),
    ):
        made.gauge(
            f"edgewright_drift_{name}", explanation, ((tags, getattr(drift, attribute)) for tags, drift in drifts)
        )


def _add_shadows(made: Exposition, found: Sequence[tuple[Labels, ShadowStatistics]]) -> None:
    made.gauge(
        f"{_OF_SHADOWS}_info", "The bundle that is compared with the version that serves; the value is 1.",
        (({**labels, "release": each.release, "digest": each.digest}, 1) for labels, each in found),
    )  # fmt: skip
    made.counter(
        f"{_OF_SHADOWS}_requests_total",
        "Requests of a shadow's share, by their outcome.",
        (
            ({**labels, "outcome": outcome}, count)
            for labels, each in found
            for outcome, count in (("compared", each.requests), ("failed", each.failed), ("skipped", each.skipped))
        ),
    )
    for name, explanation, attribute in (
        ("rows_total", "Rows that were compared.", "rows"),
        ("agreeing_rows_total", "Rows to which a shadow answered as the version that serves.", "agreeing_rows"),
    ):
        made.counter(
            f"{_OF_SHADOWS}_{name}", explanation, ((labels, getattr(each, attribute)) for labels, each in found)
        )
    made.gauge(
        f"{_OF_SHADOWS}_largest_gap", "Largest difference of two values of floating point outputs.",
        ((labels, each.largest_gap) for labels, each in found),
    )  # fmt: skip
    made.histogram(
        f"{_OF_SHADOWS}_compute_duration_seconds", "Time of a request in a shadow.",
        ((labels, each.compute_s) for labels, each in found),
    )  # fmt: skip


def _process_start() -> float:
    """Return when this process started, in seconds since the epoch."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    ticks_since_boot = int(fields[_STATUS_FIELDS_BEFORE_START])
    boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return boot + ticks_since_boot / os.sysconf("SC_CLK_TCK")

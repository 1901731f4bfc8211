"""Metrics as Prometheus' own parser reads them."""

import time
from dataclasses import replace

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from edge_runtime.server.exposition import Exposition
from edge_runtime.server.server_metrics import ServerMetrics
from edge_runtime.serving import HistogramCounter, ModelStatistics
from edge_runtime.statistics import BINS, TensorDrift
from tests.edge_runtime.server.memory_models import DIGEST, ECHO, PAIR, MemoryModels


def parsed(text: str) -> dict[str, Metric]:
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    assert all(family.documentation for family in families)
    return {family.name: family for family in families}


def test_samples_labels_and_histograms_are_read_back() -> None:
    times = HistogramCounter((0.001, 0.5))
    for value in (0.0005, 0.25, 0.5, 9.0):
        times.add(value)
    made = Exposition()
    made.counter("asked_total", "Requests.", [({"name": 'a"\\\nb'}, 3), ({"name": "c"}, 1e20)])
    made.gauge("level", "A level.", [({}, 0.25)])
    made.histogram("time_seconds", "Times.", [({"of": "x"}, times.read())])
    found = parsed(made.text())
    assert [(each.labels, each.value) for each in found["asked"].samples] == [
        ({"name": 'a"\\\nb'}, 3),
        ({"name": "c"}, 1e20),
    ]
    assert (found["asked"].type, found["level"].type, found["level"].samples[0].value) == ("counter", "gauge", 0.25)
    values = {each.name + each.labels.get("le", ""): each.value for each in found["time_seconds"].samples}
    assert values == {
        "time_seconds_bucket0.001": 1,
        "time_seconds_bucket0.5": 3,
        "time_seconds_bucket+Inf": 4,
        "time_seconds_sum": 9.7505,
        "time_seconds_count": 4,
    }


def test_every_metric_has_a_conventional_name() -> None:
    for name, family in parsed(ServerMetrics().text(MemoryModels())).items():
        assert name.startswith(("edgewright_", "http_", "process_")) and name.lower() == name
        assert not name.endswith(("_ms", "_milliseconds", "_mb", "_total"))
        if family.type == "counter":
            assert all(sample.name == f"{name}_total" for sample in family.samples)


def test_the_counts_of_models_are_told() -> None:
    models = MemoryModels()
    models.ready[PAIR] = False
    found = parsed(ServerMetrics().text(models))
    (info,) = found["edgewright_model_info"].samples
    assert info.labels == {"model": ECHO, "version": "3", "release": "7", "digest": DIGEST} and info.value == 1
    assert {each.labels["model"]: each.value for each in found["edgewright_model_ready"].samples} == {ECHO: 1, PAIR: 0}
    outcomes = {each.labels["outcome"]: each.value for each in found["edgewright_inference_requests"].samples}
    assert outcomes == {"ok": 5, "bad_request": 0, "shed": 2, "deadline": 0, "cancelled": 0, "failed": 0}
    for name, value in {"inference_rows": 9, "inference_batches": 1, "inference_queued_requests": 1,
                        "model_swaps": 2, "model_failed_swaps": 1}.items():  # fmt: skip
        assert [each.value for each in found[f"edgewright_{name}"].samples] == [value]
    assert found["edgewright_inference_queue_duration_seconds"].type == "histogram"


def test_what_a_shadow_was_compared_on_is_told() -> None:
    found = parsed(ServerMetrics().text(MemoryModels()))
    (info,) = found["edgewright_shadow_info"].samples
    assert info.labels == {"model": ECHO, "release": "8", "digest": "cd" * 32} and info.value == 1
    outcomes = {each.labels["outcome"]: each.value for each in found["edgewright_shadow_requests"].samples}
    assert outcomes == {"compared": 4, "failed": 1, "skipped": 2}
    for name, value in {"rows": 12, "agreeing_rows": 11, "largest_gap": 0.25}.items():
        (sample,) = found[f"edgewright_shadow_{name}"].samples
        assert (sample.labels, sample.value) == ({"model": ECHO}, value)
    assert found["edgewright_shadow_compute_duration_seconds"].type == "histogram"


def test_latency_and_drift_of_models_are_told() -> None:
    drift = TensorDrift("image", 9, (1,) * BINS, 0.5)

    class Drifting(MemoryModels):
        def statistics(self) -> list[ModelStatistics]:
            return [replace(each, latency_s=each.queue_s, drift=(drift,)) for each in super().statistics()]

    found = parsed(ServerMetrics().text(Drifting()))
    for name, value in {"drift_index": 0.5, "drift_rows": 9}.items():
        (sample,) = found[f"edgewright_{name}"].samples
        assert (sample.labels, sample.value) == ({"model": ECHO, "tensor": "image"}, value)
    times = {each.name: each.value for each in found["edgewright_inference_duration_seconds"].samples}
    assert times["edgewright_inference_duration_seconds_count"] == 1


def test_requests_over_http_are_counted() -> None:
    metrics = ServerMetrics()
    metrics.count("model_infer", "POST", 200, 0.002)
    metrics.count("model_infer", "POST", 200, 0.2)
    metrics.count("model_infer", "POST", 400, 0.001)
    metrics.in_progress = 4
    found = parsed(metrics.text(MemoryModels()))
    counted = {tuple(each.labels.values()): each.value for each in found["http_requests"].samples}
    assert counted == {("model_infer", "POST", "200"): 2, ("model_infer", "POST", "400"): 1}
    assert found["http_requests_in_progress"].samples[0].value == 4
    (count,) = (each for each in found["http_request_duration_seconds"].samples if each.name.endswith("_count"))
    assert count.value == 3


def test_the_process_tells_its_own_figures() -> None:
    found = parsed(ServerMetrics().text(MemoryModels()))
    own = {name: each for name, each in found.items() if name.startswith("process_")}
    told = {name.removeprefix("process_"): each.samples[0].value for name, each in own.items()}
    assert told["resident_memory_bytes"] > 1e7 and told["virtual_memory_bytes"] >= told["resident_memory_bytes"]
    assert 3 <= told["open_fds"] <= told["max_fds"] and told["cpu_seconds"] > 0
    elapsed = time.time() - told["start_time_seconds"]
    assert 0 < elapsed < time.clock_gettime(time.CLOCK_BOOTTIME)

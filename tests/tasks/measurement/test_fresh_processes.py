"""Figures in fresh processes: in more of them while a limit is too close, and never kept from a busy machine."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from deployments.device import DeviceProfile, Measuring
from edge_runtime.errors import MeasurementFailed, MeasurementInterrupted
from edge_runtime.measurement import MeasureRequest, TurnLatency
from quality_gates.evidence import Evidence, ModelEvidence, RepeatedFigures
from tasks.job import Job
from tasks.measurement import fresh_processes as module
from tasks.measurement import measure_on, measured_again, timed_in_turns
from tests.quality_gates.builders import resources, turn_latency
from tests.tasks.builders import on
from tests.tasks.tiny import device


def limited(**budgets: float) -> DeviceProfile:
    """A device with budgets of a size and of these resources alone."""
    kept = dict.fromkeys(("peak_rss_mb", "load_ms", "latency_p50_ms", "latency_p99_ms"), None)
    return device(budgets=device().budgets.model_copy(update=kept | budgets))


def before() -> Evidence:
    measured = ModelEvidence(None, resources())
    return Evidence(measured, measured, None)


def timing(monkeypatch: pytest.MonkeyPatch, answers: Iterator[TurnLatency | MeasurementFailed]) -> list[str]:
    """Let the processes of this machine answer so; returns the names that are asked."""
    asked: list[str] = []

    def measure_in_turns(
        requests: Mapping[str, MeasureRequest], _: Measuring
    ) -> dict[str, TurnLatency | MeasurementFailed]:
        asked.extend(requests)
        return {name: next(answers) for name in requests}

    monkeypatch.setattr(module, "measure_in_turns", measure_in_turns)
    return asked


def varying(*milliseconds: float) -> Iterator[TurnLatency]:
    while True:
        yield from (turn_latency(p50) for p50 in milliseconds)


def test_real_files_are_measured_in_five_processes_with_the_first_one(tiny: Job, file: Path) -> None:
    context = on(tiny, limited(latency_p50_ms=1e6, peak_rss_mb=1e6))
    single = measure_on(context, file, "test")
    timed = timed_in_turns(context, Evidence(single, single, None), {"candidate": file, "parent": file}, "test")
    (repeated,) = measured_again(context, timed, file, "test").repeated
    assert {name: len(values) for name, values in repeated.values.items()} == {"latency_p50_ms": 5, "peak_rss_mb": 5}
    assert single.resources is not None and timed.candidate.resources is not None
    assert repeated.values["peak_rss_mb"][0] == single.resources.peak_rss_mb
    assert repeated.values["latency_p50_ms"][0] == timed.candidate.resources.latency_p50_ms
    memory = repeated.values["peak_rss_mb"]
    assert len(set(memory)) > 1 and max(memory) < 1.1 * min(memory)


@pytest.mark.parametrize(("limit", "processes"), [(9.0, 5), (2.05, 20), (0.5, 5)])
def test_more_processes_are_started_while_the_limit_is_too_close(
    tiny: Job, file: Path, monkeypatch: pytest.MonkeyPatch, limit: float, processes: int
) -> None:
    asked = timing(monkeypatch, varying(1.5, 2.0, 2.7))
    (repeated,) = measured_again(on(tiny, limited(latency_p50_ms=limit)), before(), file, "test").repeated
    assert len(repeated.values["latency_p50_ms"]) == len(asked) == processes


def test_ten_processes_may_be_enough(tiny: Job, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = timing(monkeypatch, varying(1.9, 2.0, 2.1))
    measured_again(on(tiny, limited(latency_p50_ms=2.1)), before(), file, "test")
    assert len(asked) == 10


def test_what_was_measured_is_kept_unless_a_process_was_disturbed(
    tiny: Job, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = on(tiny, limited(latency_p50_ms=9.0))
    busy = timing(monkeypatch, iter([turn_latency(8.0, undisturbed=1)] * 40))
    (disturbed,) = measured_again(context, before(), file, "test").repeated
    assert "calls kept the CPU" in disturbed.disturbances["latency_p50_ms"] and busy
    quiet = timing(monkeypatch, varying(1.0, 1.1))
    first = measured_again(context, before(), file, "test")
    assert len(quiet) == 5 and not first.repeated[0].disturbances
    assert measured_again(context, before(), file, "test").repeated == first.repeated and len(quiet) == 5


@pytest.mark.parametrize("error", [MeasurementFailed("it crashed"), MeasurementInterrupted("it was killed")])
def test_a_process_that_fails_is_a_failed_measurement(
    tiny: Job, file: Path, monkeypatch: pytest.MonkeyPatch, error: MeasurementFailed
) -> None:
    asked = timing(monkeypatch, iter([turn_latency(1.0), error]))
    seen = measured_again(on(tiny, limited(latency_p50_ms=9.0)), before(), file, "test")
    assert seen.candidate.failure == str(error) and len(asked) == 2
    assert seen.candidate.interrupted is isinstance(error, MeasurementInterrupted)


def test_nothing_is_measured_again_without_a_limit_or_without_figures(
    tiny: Job, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = timing(monkeypatch, varying(1.0))
    unlimited = before()
    assert measured_again(on(tiny, limited()), unlimited, file, "test") is unlimited
    failed = replace(before(), candidate=ModelEvidence(None, None, failure="it crashed"))
    assert measured_again(on(tiny, limited(latency_p50_ms=1.0)), failed, file, "test") is failed
    assert not asked


def test_the_load_is_disturbed_by_what_it_waited_for(tiny: Job, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timing(monkeypatch, iter([turn_latency(1.0, load_ms=90.0)] * 20))
    (repeated,) = measured_again(on(tiny, limited(load_ms=50.0)), before(), file, "test").repeated
    assert isinstance(repeated, RepeatedFigures) and "waiting for a CPU" in repeated.disturbances["load_ms"]

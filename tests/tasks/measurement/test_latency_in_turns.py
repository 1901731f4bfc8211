"""Times that are taken in turns: kept while they compare, taken again on a busy machine, never kept from one."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployments.device import Measuring
from edge_runtime.errors import MeasurementFailed, MeasurementInterrupted
from edge_runtime.measurement import MeasureRequest, TurnLatency
from quality_gates.evidence import Evidence, ModelEvidence
from quality_gates.gates import Limit
from tasks.job import Job
from tasks.measurement import Role, compared_in_turns, measure_on, timed_in_turns
from tasks.measurement import latency_in_turns as module
from tests.edge_runtime.models import linear_model
from tests.quality_gates.builders import resources, turn_latency
from tests.tasks.builders import on
from tests.tasks.tiny import FEATURES, device

Answer = TurnLatency | MeasurementFailed
QUIET, BUSY = turn_latency(0.05), turn_latency(0.4, undisturbed=1)


class Machine:
    """A machine whose answers are given, one for each try: the same for all models, or one for each role."""

    def __init__(self, *answers: Answer | Mapping[str, Answer]) -> None:
        self.answers: Iterator[Answer | Mapping[str, Answer]] = iter(answers)
        self.asked: list[Mapping[str, MeasureRequest]] = []
        self.pauses: list[float] = []

    def measure(self, requests: Mapping[str, MeasureRequest], _: Measuring) -> dict[str, Answer]:
        self.asked.append(requests)
        answer = next(self.answers)
        return dict(answer) if isinstance(answer, Mapping) else dict.fromkeys(requests, answer)


@pytest.fixture
def files(file: Path, tmp_path: Path) -> dict[Role, Path]:
    deployed = linear_model(tmp_path / "deployed.onnx", FEATURES, 5)
    return {"candidate": file, "parent": linear_model(tmp_path / "parent.onnx", FEATURES, 4), "deployed": deployed}


def evidence(**changes: Any) -> Evidence:
    measured = ModelEvidence(None, resources())
    return replace(Evidence(measured, measured, measured), **changes)


def given(monkeypatch: pytest.MonkeyPatch, *answers: Answer | Mapping[str, Answer]) -> Machine:
    machine = Machine(*answers)
    monkeypatch.setattr(module, "measure_in_turns", machine.measure)
    monkeypatch.setattr("time.sleep", machine.pauses.append)
    return machine


def timed(job: Job, files: dict[Role, Path], before: Evidence | None = None) -> Evidence:
    return timed_in_turns(on(job, device()), before or evidence(), files, "test")


def test_real_models_are_timed_and_the_evidence_has_their_times(tiny: Job, files: dict[Role, Path]) -> None:
    context = on(tiny, device())
    single = measure_on(context, files["candidate"], "test")
    seen = timed_in_turns(context, Evidence(single, single, None), files, "test")
    (turns,) = seen.turns
    assert turns.latencies.keys() == {"candidate", "parent"} and not turns.failures
    latency, figures = turns.latencies["candidate"], seen.candidate.resources
    assert figures is not None and single.resources is not None
    assert (figures.latency_p50_ms, figures.latency_p99_ms) == (latency.latency_p50_ms, latency.latency_p99_ms)
    assert (figures.size_bytes, figures.peak_rss_mb) == (single.resources.size_bytes, single.resources.peak_rss_mb)
    assert seen.candidate.rows is single.rows
    assert seen.parent is not None and seen.parent.resources != figures


def test_two_files_of_one_model_compare_or_are_not_compared(
    tiny: Job, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = linear_model(tmp_path / "float.onnx", FEATURES, 4)
    given(monkeypatch, {"candidate": QUIET, "float": QUIET}, *[{"candidate": QUIET, "float": BUSY}] * 3)
    compared = compared_in_turns(on(tiny, device()), {"candidate": file, "float": whole}, "validation")
    assert compared == {"candidate": QUIET, "float": QUIET}
    assert compared_in_turns(on(tiny, device()), {"candidate": whole, "float": file}, "validation") is None


def test_a_file_that_cannot_be_timed_compares_with_none(
    tiny: Job, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(monkeypatch, {"candidate": QUIET, "float": MeasurementFailed("It crashed.")})
    files: dict[Role, Path] = {"candidate": file, "float": linear_model(tmp_path / "float.onnx", FEATURES, 4)}
    assert compared_in_turns(on(tiny, device()), files, "validation") is None


def test_all_models_are_asked_as_the_device_runs_them_on_the_rows_of_the_split(
    tiny: Job, files: dict[Role, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = given(monkeypatch, QUIET)
    timed(tiny, files)
    (asked,) = machine.asked
    assert list(asked) == ["candidate", "parent", "deployed"]
    assert {role: request.model for role, request in asked.items()} == files
    assert (
        len({(request.settings, request.latency_repeats, request.memory_limit_mb) for request in asked.values()}) == 1
    )
    assert {request.rows for request in asked.values()} == {1}


def test_times_that_compare_are_taken_once(tiny: Job, files: dict[Role, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    machine = given(monkeypatch, QUIET)
    first, second = timed(tiny, files), timed(tiny, files)
    assert len(machine.asked) == 1 and first.turns == second.turns
    with pytest.raises(StopIteration):  # another file is asked for
        timed(tiny, files | {"deployed": files["parent"]})


@pytest.mark.usefixtures("warned")
def test_a_busy_machine_is_asked_again_after_a_pause_and_never_remembered(
    tiny: Job, files: dict[Role, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = given(monkeypatch, BUSY, BUSY, BUSY, BUSY, QUIET)
    busy = timed(tiny, files)
    assert (len(machine.asked), machine.pauses) == (3, list(module.AGAIN_AFTER_S))
    assert busy.disturbance("latency_p50_ms", 1) is not None
    assert busy.candidate.resources is not None and busy.candidate.resources.latency_p50_ms == 0.4
    quiet = timed(tiny, files)
    assert len(machine.asked) == 5 and quiet.disturbance("latency_p50_ms", 1) is None
    assert timed(tiny, files).turns == quiet.turns


@pytest.mark.usefixtures("warned")
def test_an_interruption_is_asked_again_and_is_no_failure_of_the_candidate(
    tiny: Job, files: dict[Role, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = given(monkeypatch, *[MeasurementInterrupted("it was ended by SIGKILL.")] * 3)
    seen = timed(tiny, files)
    assert len(machine.asked) == 3
    assert seen.candidate.failure is None
    assert seen.candidate.resources == resources()
    assert seen.disturbance("latency_p50_ms", 1) == "it was ended by SIGKILL."


@pytest.mark.usefixtures("warned")
def test_a_lock_that_is_not_to_be_had_is_an_interruption(
    tiny: Job, files: dict[Role, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_: object) -> dict[str, Answer]:
        raise MeasurementInterrupted("another measurement has the lock.")

    given(monkeypatch)
    monkeypatch.setattr(module, "measure_in_turns", locked)
    assert timed(tiny, files).disturbance("latency_p99_ms", 1) == "another measurement has the lock."


@pytest.mark.usefixtures("warned")
def test_a_candidate_that_crashes_while_it_is_timed_has_failed(
    tiny: Job, files: dict[Role, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = given(monkeypatch, {"candidate": MeasurementFailed("SIGSEGV."), "parent": QUIET, "deployed": QUIET})
    seen = timed(tiny, files)
    assert len(machine.asked) == 1
    assert (seen.candidate.failure, seen.candidate.interrupted) == ("SIGSEGV.", False)


@pytest.mark.usefixtures("warned")
def test_a_reference_that_crashes_while_it_is_timed_keeps_its_answers(
    tiny: Job, files: dict[Role, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    given(monkeypatch, {"candidate": QUIET, "parent": MeasurementFailed("SIGSEGV."), "deployed": QUIET})
    seen = timed(tiny, files)
    assert seen.parent is not None and seen.parent.failure is None
    assert seen.turns[0].failures == {"parent": "SIGSEGV."}
    assert seen.turns[0].ratio("latency_p50_ms", "parent") is None
    assert seen.turns[0].ratio("latency_p50_ms", "deployed") == 1.0


def test_what_was_not_measured_is_not_timed(
    tiny: Job, files: dict[Role, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = given(monkeypatch, QUIET)
    crashed = ModelEvidence(None, None, failure="it crashed.")
    assert timed(tiny, files, evidence(candidate=crashed)).turns == ()
    assert machine.asked == []
    seen = timed(tiny, files, evidence(deployed=crashed, parent=None))
    assert list(machine.asked[0]) == ["candidate"] and seen.deployed is crashed and seen.parent is None


def test_every_batch_size_that_a_gate_limits_has_turns(
    tiny: Job, files: dict[Role, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = given(monkeypatch, QUIET, turn_latency(0.3))
    eight = Limit.model_validate({"name": "eight", "resource": "latency_p50_ms", "at_most": 9.0, "batch_size": 8})
    recipe = tiny.recipe.model_copy(update={"gates": (*tiny.recipe.gates, eight)})
    seen = timed(replace(tiny, recipe=recipe), files)
    assert [turns.batch_size for turns in seen.turns] == [1, 8]
    assert {request.latency_batch_size for request in machine.asked[1].values()} == {8}
    (batch,) = seen.candidate.batches
    assert (batch.batch_size, batch.latency_p50_ms) == (8, 0.3)

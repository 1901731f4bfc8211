"""Measurements: real ones are kept, failed ones are evidence and are tried again."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from deployments.device import Measuring
from deployments.errors import ConfigurationError
from deployments.workload import Split, SplitName
from edge_runtime.errors import MeasurementFailed, MeasurementInterrupted
from edge_runtime.files import sha256_of
from edge_runtime.measurement import Figures, Measurement, MeasureRequest
from edge_runtime.model_files import model_digest, weights_of
from tasks.device_link import measure
from tasks.job import Job
from tasks.measurement import device_measurement as module
from tasks.measurement.device_measurement import answer_rows, measure_on, session_settings
from tasks.workspace import Workspace
from tests.edge_runtime.models import linear_model, portable_model, two_headed_model, weights
from tests.tasks.builders import on
from tests.tasks.tiny import FEATURES, LABELS, Blobs, device, job


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[MeasureRequest]:
    """Requests that reached the measuring process."""
    made: list[MeasureRequest] = []

    def counting(request: MeasureRequest, how: Measuring) -> Measurement:
        made.append(request)
        return measure(request, how)

    monkeypatch.setattr(module, "measure", counting)
    return made


def fake(model: Path, outputs: np.ndarray) -> Measurement:
    return Measurement(model_digest(model), Figures(1000, 30.0, 2.0, 0.1, 0.2), 27.0, [outputs])


@pytest.fixture
def instant(monkeypatch: pytest.MonkeyPatch) -> list[MeasureRequest]:
    """Measurements without a process, counted."""
    made: list[MeasureRequest] = []

    def answering(request: MeasureRequest, _: Measuring) -> Measurement:
        made.append(request)
        return fake(request.model, np.eye(3)[np.zeros(request.rows, dtype=int)])

    monkeypatch.setattr(module, "measure", answering)
    return made


def test_a_file_is_measured_on_every_row_and_once(tiny: Job, file: Path, requests: list[MeasureRequest]) -> None:
    evidence = measure_on(on(tiny, device()), file, "test")
    rows = tiny.splits["test"]
    expected = (rows.inputs[0] @ weights(FEATURES, 3)).argmax(axis=1)
    assert evidence.failure is None
    assert evidence.rows is not None
    assert evidence.rows["prediction"].tolist() == expected.tolist()
    assert evidence.rows["score"].tolist() == (expected == rows.targets).astype(float).tolist()
    assert evidence.resources is not None
    assert evidence.resources.size_bytes == file.stat().st_size
    assert evidence.file_sha256 == sha256_of(file)
    assert all(figure > 0 for figure in evidence.resources.known.values())

    again = measure_on(on(tiny, device()), file, "test")
    assert len(requests) == 1
    assert again.resources == evidence.resources
    assert again.file_sha256 == evidence.file_sha256
    assert again.rows is not None
    pd.testing.assert_frame_equal(again.rows, evidence.rows)


def test_the_devices_settings_reach_the_process(tiny: Job, file: Path, instant: list[MeasureRequest]) -> None:
    profile = device()
    measure_on(on(tiny, profile), file, "validation")
    (request,) = instant
    assert request.settings == session_settings(profile)
    assert (request.batch_size, request.memory_limit_mb) == (profile.max_batch, profile.measure.memory_limit_mb)
    assert (request.latency_warmup, request.latency_repeats) == (profile.measure.warmup, profile.measure.repeats)
    np.testing.assert_array_equal(request.inputs["x"], tiny.splits["validation"].inputs[0])


def test_another_file_split_device_or_machine_is_measured_anew(
    tiny: Job, file: Path, tmp_path: Path, instant: list[MeasureRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = linear_model(tmp_path / "other.onnx", FEATURES, 4)
    profile = device()
    measure_on(on(tiny, profile), file, "test")
    measure_on(on(tiny, profile), other, "test")
    measure_on(on(tiny, profile), file, "validation")
    measure_on(on(tiny, profile.model_copy(update={"threads": 2})), file, "test")
    monkeypatch.setattr(module, "machine", lambda _: "another processor")
    measure_on(on(tiny, profile), file, "test")
    assert len(instant) == 5


def test_a_model_whose_files_change_while_it_is_measured_has_no_figures(
    tiny: Job, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def changing(request: MeasureRequest, how: Measuring) -> Measurement:
        seen.append(sha256_of(linear_model(file, FEATURES, 4)))
        return measure(request, how)

    monkeypatch.setattr(module, "measure", changing)
    before = sha256_of(file)
    evidence = measure_on(on(tiny, device()), file, "test")
    assert (evidence.rows, evidence.resources, evidence.file_sha256) == (None, None, before)
    assert evidence.failure is not None
    assert f"expected to measure the model with sha256 {before}, got {seen[0]}; its files changed" in evidence.failure


def test_weights_beside_the_graph_are_measured_and_damaged_ones_are_not(tiny: Job, tmp_path: Path) -> None:
    graph = portable_model(tmp_path / "portable", FEATURES, 3)
    (beside,) = weights_of(graph)
    evidence = measure_on(on(tiny, device()), graph, "test")
    assert evidence.resources is not None
    assert evidence.resources.size_bytes == graph.stat().st_size + beside.stat().st_size
    assert evidence.file_sha256 == model_digest(graph)
    beside.write_bytes(bytes(255 - byte for byte in beside.read_bytes()))
    damaged = measure_on(on(tiny, device()), graph, "test")
    assert (damaged.rows, damaged.resources) == (None, None)
    assert damaged.failure is not None and f"expected weights with the sha256 {beside.name}" in damaged.failure


def test_what_figures_do_not_depend_on_is_not_measured_anew(
    tiny: Job, file: Path, instant: list[MeasureRequest]
) -> None:
    measure_on(on(tiny, device()), file, "test")
    measure_on(on(tiny, device(name="other", description="other")), file, "test")
    assert len(instant) == 1


def test_a_model_that_does_not_fit_the_devices_memory_is_evidence(tiny: Job, file: Path, warned: list[str]) -> None:
    profile = device()
    small = profile.model_copy(update={"measure": profile.measure.model_copy(update={"memory_limit_mb": 1.0})})
    evidence = measure_on(on(tiny, small), file, "test")
    assert (evidence.rows, evidence.resources) == (None, None)
    assert evidence.failure is not None
    assert "The memory limit of 1 MiB is taken by the bare runtime alone" in evidence.failure
    assert warned == [f"bench: {evidence.failure}"]


@pytest.mark.usefixtures("warned")
def test_a_failed_measurement_is_tried_again(tiny: Job, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: Iterator[Measurement | MeasurementFailed]
    answers = iter([MeasurementFailed("it crashed."), fake(file, np.eye(3)[tiny.splits["test"].targets])])

    def flaky(*_: object) -> Measurement:
        answer = next(answers)
        if isinstance(answer, MeasurementFailed):
            raise answer
        return answer

    monkeypatch.setattr(module, "measure", flaky)
    first = measure_on(on(tiny, device()), file, "test")
    second = measure_on(on(tiny, device()), file, "test")
    assert (first.failure, second.failure) == ("it crashed.", None)
    assert (first.interrupted, second.interrupted) == (False, False)
    assert second.rows is not None
    assert second.rows["score"].mean() == 1.0


@pytest.mark.usefixtures("warned")
def test_a_measurement_that_is_killed_is_evidence_that_says_so(
    tiny: Job, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> Measurement:
        raise MeasurementInterrupted("it was ended by SIGKILL.")

    monkeypatch.setattr(module, "measure", killed)
    evidence = measure_on(on(tiny, device()), file, "test")
    assert (evidence.failure, evidence.interrupted) == ("it was ended by SIGKILL.", True)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: path.write_bytes(b"no graph") and path, "no.onnx: expected an ONNX graph, got"),
        (
            two_headed_model,
            "expected a model of 1 inputs as the workload has, got the inputs a, b; the model of another",
        ),
    ],
    ids=["no graph", "another signature"],
)
def test_a_file_that_is_not_for_these_rows_is_evidence(tiny: Job, tmp_path: Path, make: object, says: str) -> None:
    path = make(tmp_path / "no.onnx")  # type: ignore[operator]
    evidence = measure_on(on(tiny, device()), path, "test")
    assert evidence.failure is not None
    assert says in evidence.failure


def test_answers_have_ids_predictions_scores_and_slices(tiny: Job) -> None:
    targets = tiny.splits["test"].targets
    outputs = np.eye(3)[targets]
    outputs[0] = np.roll(outputs[0], 1)
    answers = answer_rows(tiny, "test", outputs)
    assert list(answers.columns) == ["row_id", "prediction", "score", "target", "confidence", "label", "site"]
    assert answers["row_id"].tolist() == list(range(30))
    assert answers["label"].tolist() == LABELS[targets].tolist()
    assert answers["score"].tolist() == [0.0] + [1.0] * 29
    assert answers["prediction"].tolist() == [1, *targets[1:].tolist()]


def test_slices_stay_beside_their_rows_whatever_their_index(tmp_path: Path) -> None:
    class Shuffled(Blobs):
        def split(self, name: SplitName) -> Split:
            split = super().split(name)
            split.slices.index = pd.Index(range(len(split)))[::-1]
            return split

    shuffled = job(Workspace.at(tmp_path, "sqlite:///unused"), workload=Shuffled())
    answers = answer_rows(shuffled, "test", np.eye(3)[shuffled.splits["test"].targets])
    assert answers["label"].tolist() == LABELS[shuffled.splits["test"].targets].tolist()
    assert len(answers) == 30


@pytest.mark.parametrize(("method", "name"), [("predictions", "prediction"), ("score", "score")])
def test_a_workload_must_answer_once_a_row(tiny: Job, monkeypatch: pytest.MonkeyPatch, method: str, name: str) -> None:
    for each in ("predictions", "score"):
        shape = (30, 2) if each == method else 30
        monkeypatch.setattr(tiny.workload, each, lambda *_, shape=shape: np.zeros(shape))
    says = rf"workload `tests\.tasks\.tiny:Blobs`: expected one {name} for each of 30 rows, got .* shape \(30, 2\);"
    with pytest.raises(ConfigurationError, match=says):
        answer_rows(tiny, "test", np.eye(3)[tiny.splits["test"].targets])


def test_a_score_that_raises_is_named(tiny: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny.workload, "score", lambda outputs, _: outputs["probability"])
    with pytest.raises(
        ConfigurationError, match=r"for outputs of shape \(30, 3\), got IndexError: .*; correct Workload\.pre"
    ):
        answer_rows(tiny, "test", np.eye(3)[tiny.splits["test"].targets])


def test_rows_that_are_answered_with_nan_are_wrong_and_lack_a_confidence(tiny: Job, warned: list[str]) -> None:
    outputs = np.eye(3)[tiny.splits["test"].targets]
    outputs[:4] = np.nan
    rows = answer_rows(tiny, "test", outputs)
    assert rows["prediction"][:4].tolist() == ["not a number"] * 4 and rows["score"].tolist() == [0.0] * 4 + [1.0] * 26
    assert rows["confidence"].isna().tolist() == [True] * 4 + [False] * 26
    assert warned == ["4 of 30 rows are answered with NaN or infinity; they count as wrong"]


def test_an_older_model_with_outputs_of_another_form_is_a_measurement_that_failed(
    tiny: Job, tmp_path: Path, warned: list[str]
) -> None:
    narrow = linear_model(tmp_path / "narrow.onnx", FEATURES, 1)
    evidence = measure_on(on(tiny, device()), narrow, "test")
    assert evidence.rows is None and evidence.failure is not None
    assert "class scores (rows, classes) of two or more classes, got outputs (rows, 1)" in evidence.failure
    assert len(warned) == 1

"""Acceptance data: golden vectors of the very file, spreads of the calibration rows, and a curve of batches."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper, save

from deployments.device import DeviceProfile
from deployments.instruction_sets import CPUS
from deployments.workload import Split
from edge_runtime.bundle import QUANTILES, Measured
from edge_runtime.errors import MeasurementFailed, MeasurementInterrupted
from edge_runtime.files import sha256_of
from edge_runtime.measurement import Figures, Measurement, MeasureRequest, measure
from edge_runtime.session import EdgeModel
from edge_runtime.settings import SessionSettings
from quality_gates.evidence import ModelEvidence
from tasks.emulation.emulator import Emulator
from tasks.errors import RegistryError
from tasks.job import Job
from tasks.measurement import GOLDEN, Acceptance, acceptance_of
from tasks.measurement import acceptance as module
from tasks.measurement.acceptance import DESCRIPTION
from tasks.upstream import DeviceContext
from tests.edge_runtime.models import linear_model, logarithm_model, two_headed_model, weights
from tests.tasks.builders import on
from tests.tasks.tiny import FEATURES, device

FIGURES = Figures(1000, 30.0, 2.0, 0.25, 0.5)
ONE_ROW = device(max_batch=1)


def accepted(context: DeviceContext, file: Path, figures: Figures | None) -> Acceptance:
    """The acceptance data of a file with these figures."""
    return acceptance_of(context, file, ModelEvidence(None, figures, file_sha256=sha256_of(file)))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[MeasureRequest]:
    """Requests that reached the measuring process."""
    made: list[MeasureRequest] = []

    def counting(request: MeasureRequest, timeout_s: float) -> Measurement:
        made.append(request)
        return measure(request, timeout_s)

    monkeypatch.setattr(module, "measure", counting)
    return made


def instead(monkeypatch: pytest.MonkeyPatch, answer: Callable[[MeasureRequest, Measurement], Measurement]) -> None:
    """Let something else than the measuring process have the last word."""
    monkeypatch.setattr(module, "measure", lambda request, timeout_s: answer(request, measure(request, timeout_s)))


def vectors(found: Acceptance) -> dict[str, np.ndarray]:
    with np.load(found.golden_file) as read:
        return dict(read)


def of_rows(job: Job, *inputs: np.ndarray) -> Job:
    """The job with other calibration rows."""
    count = len(inputs[0])
    rows = Split(inputs, np.zeros(count, np.int64), pd.DataFrame({"site": np.arange(count) % 2}))
    return replace(job, splits={**job.splits, "calibration": rows})


def test_golden_vectors_are_the_answers_of_the_very_file(tiny: Job, file: Path, asked: list[MeasureRequest]) -> None:
    found = accepted(on(tiny, ONE_ROW), file, FIGURES)
    rows = tiny.splits["calibration"].inputs[0]
    kept = vectors(found)
    assert sorted(kept) == ["in.x", "out.y"]
    np.testing.assert_array_equal(kept["in.x"], rows[:8])
    (answers,) = EdgeModel.load(file, SessionSettings(threads=1)).predict({"x": rows[:8]})
    np.testing.assert_allclose(kept["out.y"], answers, rtol=1e-6)
    assert (found.golden.blob, found.golden.rows) == (GOLDEN, 8)
    assert found.golden.tolerance["y"] == pytest.approx(1e-3 * np.abs(answers).max(), rel=0.5)
    assert found.measured == Measured(
        {"size_bytes": 1000, "peak_rss_mb": 30.0, "load_ms": 2.0, "latency_p50_ms": 0.25, "latency_p99_ms": 0.5}, {}
    )
    assert [(each.rows, each.settings.optimization, each.times_calls) for each in asked] == [
        (16, "all", False), (8, "all", False), (8, "basic", False),
    ]  # fmt: skip


def test_spreads_are_those_of_the_calibration_rows(tiny: Job, file: Path) -> None:
    found = accepted(on(tiny, ONE_ROW), file, None)
    rows = tiny.splits["calibration"].inputs[0].astype(np.float64)
    taken, given = found.spreads
    assert [taken.name, given.name] == ["x", "y"]
    assert (taken.rows, given.rows) == (16, 16)
    for spread, values in ((taken, rows), (given, rows @ weights(FEATURES, 3))):
        np.testing.assert_allclose(spread.quantiles, np.quantile(values, QUANTILES), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose((spread.mean, spread.std), (values.mean(), values.std()), rtol=1e-4, atol=1e-5)
    assert found.measured.figures == {}


def test_it_is_computed_once_and_anew_for_other_files_not_for_other_figures(
    tiny: Job, file: Path, asked: list[MeasureRequest], tmp_path: Path
) -> None:
    found = accepted(on(tiny, ONE_ROW), file, FIGURES)
    assert accepted(on(tiny, ONE_ROW), file, FIGURES) == found and len(asked) == 3
    assert accepted(on(tiny, ONE_ROW), file, replace(FIGURES, load_ms=3.0)).measured.figures["load_ms"] == 3.0
    other = linear_model(tmp_path / "other.onnx", FEATURES, 4)
    assert vectors(accepted(on(tiny, ONE_ROW), other, FIGURES))["out.y"].shape == (8, 4)
    assert len(asked) == 6


def test_several_inputs_and_outputs_each_have_their_own(tiny: Job, tmp_path: Path) -> None:
    a, b = (np.random.default_rng(seed).normal(size=(20, 2)).astype(np.float32) for seed in (1, 2))
    found = accepted(on(of_rows(tiny, a, b), ONE_ROW), two_headed_model(tmp_path / "two.onnx"), None)
    kept = vectors(found)
    np.testing.assert_array_equal(kept["in.a"], a[:8])
    np.testing.assert_array_equal(kept["in.b"], b[:8])
    np.testing.assert_array_equal(kept["out.total"], (a + b)[:8])
    np.testing.assert_array_equal(kept["out.difference"], (a - b)[:8])
    assert sorted(found.golden.tolerance) == ["difference", "total"]
    assert [spread.name for spread in found.spreads] == ["a", "b", "total", "difference"]


def words_model(path: Path) -> Path:
    """Write a model of whole numbers: `ids`, int64 (rows, 4), are looked up, and `label`, int64 (rows,), comes out."""
    table = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["looked"]),
        helper.make_node("ReduceSum", ["looked", "axis"], ["summed"], keepdims=0),
        helper.make_node("ArgMax", ["summed"], ["label"], axis=1, keepdims=0),
    ]
    graph = helper.make_graph(
        nodes, "words", [helper.make_tensor_value_info("ids", TensorProto.INT64, ["rows", 4])],
        [helper.make_tensor_value_info("label", TensorProto.INT64, ["rows"])],
        [numpy_helper.from_array(table, "table"), numpy_helper.from_array(np.array([1]), "axis")],
    )  # fmt: skip
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)
    return path


def test_whole_numbers_are_kept_as_they_are(tiny: Job, tmp_path: Path) -> None:
    ids = np.random.default_rng(3).integers(0, 10, size=(12, 4))
    found = accepted(on(of_rows(tiny, ids), ONE_ROW), words_model(tmp_path / "words.onnx"), None)
    kept = vectors(found)
    assert kept["in.ids"].dtype == kept["out.label"].dtype == np.int64 and kept["out.label"].shape == (8,)
    assert found.golden.tolerance["label"] < 1  # another label is another answer
    (taken, _) = found.spreads
    assert (taken.quantiles[0], taken.quantiles[-1]) == (ids.min(), ids.max())


def test_fewer_rows_than_golden_vectors_are_enough(tiny: Job, file: Path) -> None:
    rows = np.ones((1, FEATURES), np.float32)
    found = accepted(on(of_rows(tiny, rows)), file, None)
    assert found.golden.rows == 1 and vectors(found)["out.y"].shape == (1, 3)
    assert {spread.rows for spread in found.spreads} == {1}
    assert sorted(found.measured.batch_ms) == ["1", "2"]  # rows come round again in a batch


def test_a_model_that_takes_no_batch_has_no_curve(tiny: Job, tmp_path: Path, asked: list[MeasureRequest]) -> None:
    single = linear_model(tmp_path / "single.onnx", FEATURES, batch=1)
    found = accepted(on(tiny, ONE_ROW), single, FIGURES)
    assert found.golden.rows == 8 and found.measured.batch_ms == {} and len(asked) == 3


@pytest.mark.parametrize(("most", "sizes"), [(2, [1, 2]), (8, [1, 4, 8]), (100, [1, 4, 16, 64])])
def test_the_curve_ends_at_the_most_that_the_device_answers_at_once(
    tiny: Job, file: Path, asked: list[MeasureRequest], most: int, sizes: list[int]
) -> None:
    found = accepted(on(tiny, device(max_batch=most)), file, FIGURES)
    assert [int(size) for size in found.measured.batch_ms] == sizes
    assert all(each > 0 for each in found.measured.batch_ms.values())
    assert [each.latency_batch_size for each in asked if each.times_calls] == sizes


def test_sizes_that_do_not_fit_the_memory_are_left_out(tiny: Job, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fired: list[int] = []

    def too_large(request: MeasureRequest, seen: Measurement) -> Measurement:
        if request.latency_batch_size == 4:
            fired.append(4)
            raise MeasurementFailed("it does not fit the memory limit")
        return seen

    instead(monkeypatch, too_large)
    found = accepted(on(tiny, device(max_batch=4)), file, FIGURES)
    assert fired == [4] and list(found.measured.batch_ms) == ["1"]


def test_sizes_whose_calls_would_take_too_long_are_not_tried(
    tiny: Job, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def slow(request: MeasureRequest, seen: Measurement) -> Measurement:
        if request.times_calls:
            tried.append(request.latency_batch_size)
        return replace(seen, figures=replace(seen.figures, latency_p50_ms=60.0 * request.latency_batch_size))

    instead(monkeypatch, slow)
    found = accepted(on(tiny, device(max_batch=64)), file, FIGURES)
    assert tried == [1, 4] and found.measured.batch_ms == {"1": 60.0, "4": 240.0}  # 22 calls of 960 ms are too long


def test_an_interruption_is_no_answer_and_is_asked_again(
    tiny: Job, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fired: list[int] = []

    def interrupted(request: MeasureRequest, seen: Measurement) -> Measurement:
        if request.latency_batch_size == 2 and not fired:
            fired.append(2)
            raise MeasurementInterrupted("killed from outside")
        return seen

    instead(monkeypatch, interrupted)
    with pytest.raises(MeasurementInterrupted, match="killed from outside"):
        accepted(on(tiny), file, FIGURES)
    assert fired and sorted(accepted(on(tiny), file, FIGURES).measured.batch_ms) == ["1", "2"]


def test_a_file_that_does_not_answer_the_rows_says_why(tiny: Job, tmp_path: Path) -> None:
    rows = np.array([[1.0, -1.0], [1.0, 2.0]], np.float32)
    with pytest.raises(MeasurementFailed, match=r"NaN|not finite|infinite") as caught:
        accepted(on(of_rows(tiny, rows), ONE_ROW), logarithm_model(tmp_path / "log.onnx"), None)
    assert not isinstance(caught.value, MeasurementInterrupted)


def test_a_file_that_changes_meanwhile_says_nothing(tiny: Job, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MeasurementInterrupted, match="expected the model that was measured, got another"):
        acceptance_of(on(tiny), file, ModelEvidence(None, FIGURES, file_sha256="0" * 64))
    instead(monkeypatch, lambda _, seen: replace(seen, sha256="0" * 64))
    with pytest.raises(MeasurementInterrupted, match="its files changed meanwhile"):
        accepted(on(tiny), file, FIGURES)


@pytest.mark.usefixtures("elsewhere")
def test_golden_answers_are_of_the_emulated_cpu_and_no_more_rows_than_needed(
    tiny: Job, file: Path, emulated: DeviceProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[MeasureRequest] = []

    def emulate(_: Emulator, request: MeasureRequest, timeout_s: float) -> Measurement:
        asked.append(request)
        assert timeout_s == 120
        seen = measure(request, timeout_s)
        return replace(seen, outputs=[output + np.float32(0.5) for output in seen.outputs])

    monkeypatch.setattr(module, "find_emulator", lambda *_: Emulator("/bin/false", "0", CPUS["Haswell"], None))
    monkeypatch.setattr(Emulator, "measure", emulate)
    found = accepted(on(tiny, emulated), file, FIGURES)
    (request,) = asked
    assert (request.rows, request.memory_limit_mb, request.times_calls) == (8, None, False)
    expected = tiny.splits["calibration"].inputs[0][:8] @ weights(FEATURES, 3) + 0.5
    np.testing.assert_allclose(vectors(found)["out.y"], expected, rtol=1e-5, atol=1e-5)
    assert found.golden.tolerance["y"] == pytest.approx(2.0, rel=1e-3)  # four times the difference to this CPU's
    assert found.spreads[1].rows == 16 and found.measured.batch_ms


@pytest.mark.usefixtures("elsewhere")
def test_without_the_emulator_this_cpu_answers_and_it_is_told(
    tiny: Job, file: Path, emulated: DeviceProfile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, warned: list[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert vectors(accepted(on(tiny, emulated), file, FIGURES))["out.y"].shape == (8, 3)
    assert len(warned) == 1 and "bench: the golden vectors are of this machine's CPU: expected qemu" in warned[0]


def test_a_spread_needs_finite_numbers_and_takes_no_more_than_it_must(monkeypatch: pytest.MonkeyPatch) -> None:
    assert module._spread("x", np.zeros((4, 0), np.float32)) is None
    assert module._spread("x", np.array([[1.0, np.inf]])) is None
    assert module._spread("x", np.array([[1.0, np.nan]])) is None
    assert module._spread("x", np.array([[1e308, -1e308]])) is None
    flags = module._spread("x", np.array([[True], [False]]))
    assert flags is not None and (flags.mean, flags.rows) == (0.5, 2)
    monkeypatch.setattr(module, "SPREAD_NUMBERS", 6)
    for width, rows in ((2, 3), (6, 1), (50, 1)):
        spread = module._spread("x", np.ones((5, width), np.float32))
        assert spread is not None and spread.rows == rows


def test_steps_allow_more_than_float() -> None:
    answer, other = np.array([[8.0, -20.0]]), np.array([[8.0, -20.0]])
    assert module._tolerance(answer, other, module.SMOOTH) == pytest.approx(0.02)
    assert module._tolerance(answer, other, module.STEPPED) == pytest.approx(0.4)
    assert module._tolerance(answer, answer + 0.5, module.SMOOTH) == pytest.approx(2.0)
    assert module._tolerance(answer * 0, other * 0, module.SMOOTH) == 1e-6
    assert module._tolerance(np.zeros((8, 0)), np.zeros((8, 0)), module.SMOOTH) == 1e-6


@pytest.fixture
def kept(tiny: Job, file: Path, tmp_path: Path) -> Path:
    """A folder in which a run keeps acceptance data."""
    found = accepted(on(tiny, ONE_ROW), file, FIGURES)
    (tmp_path / "kept").mkdir()
    for name, path in found.files(tmp_path).items():
        (tmp_path / "kept" / name).write_bytes(path.read_bytes())
    assert Acceptance.read(tmp_path / "kept") == replace(found, golden_file=tmp_path / "kept" / GOLDEN)
    return tmp_path / "kept"


def test_where_nothing_was_kept_there_is_a_warning(tmp_path: Path, warned: list[str]) -> None:
    (tmp_path / GOLDEN).write_bytes(b"of another release")
    assert Acceptance.read(tmp_path) is None
    assert len(warned) == 1 and "devices will refuse its bundle: compress the version again with --again" in warned[0]


def edited(kept: Path, **changes: Any) -> None:
    (kept / DESCRIPTION).write_text(json.dumps(json.loads((kept / DESCRIPTION).read_text()) | changes))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "other vectors": lambda kept: (kept / GOLDEN).write_bytes(b"others"),
    "no vectors": lambda kept: (kept / GOLDEN).unlink(),
    "half": lambda kept: (kept / DESCRIPTION).write_text('{"golden": {'),
    "no object": lambda kept: (kept / DESCRIPTION).write_text("[]"),
    "a word for a number": lambda kept: edited(kept, measured={"figures": {"load_ms": "fast"}, "batch_ms": {}}),
    "spreads without names": lambda kept: edited(kept, spreads=[{"quantiles": []}]),
    "a path": lambda kept: edited(kept, golden={"blob": "../golden.npz", "rows": 8, "tolerance": {"y": 1.0}}),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_was_changed_since_is_not_published_with(kept: Path, damage: str, warned: list[str]) -> None:
    DAMAGES[damage](kept)
    with pytest.raises(RegistryError, match="expected the acceptance data that were kept with the file, got"):
        Acceptance.read(kept)
    assert warned == []

"""A backbone with heads is measured as one model: all of its files, and its outputs beside each other."""

from pathlib import Path

import numpy as np
import pytest

from deployments.instruction_sets import CPUS
from edge_runtime.golden import INPUT, OUTPUT
from edge_runtime.measurement import Measurement, MeasureRequest
from edge_runtime.model_files import HEADS, heads_of, model_bytes, model_digest
from tasks.device_link import measure
from tasks.emulation import Emulator
from tasks.job import Job
from tasks.measurement import acceptance_of, compared_in_turns, device_answers, measure_for, measure_on
from tasks.measurement.device_measurement import request
from tests.edge_runtime.made_families import MadeFamily
from tests.tasks.builders import on
from tests.tasks.headed import answers, scores
from tests.tasks.tiny import device


@pytest.fixture
def family(tmp_path: Path) -> MadeFamily:
    return scores(tmp_path / "scores")


def test_the_answers_are_the_outputs_of_all_heads(tiny: Job, family: MadeFamily) -> None:
    graph, rows = family.on_disk(), tiny.splits["test"]
    evidence = measure_on(on(tiny, device()), graph, "test")
    assert evidence.failure is None and evidence.rows is not None and evidence.resources is not None
    assert evidence.rows["prediction"].tolist() == answers(family, rows.inputs[0]).argmax(axis=1).tolist()
    assert evidence.resources.size_bytes == model_bytes(graph) > model_bytes(graph, ())
    assert evidence.file_sha256 == model_digest(graph)


def test_another_head_is_another_measurement(tiny: Job, tmp_path: Path) -> None:
    one, other = scores(tmp_path / "one"), scores(tmp_path / "other", rest=13)
    context, rows = on(tiny, device()), tiny.splits["test"].inputs[0]
    for family in (one, other):
        seen = measure_on(context, family.on_disk(), "test")
        assert seen.rows is not None
        assert seen.rows["prediction"].tolist() == answers(family, rows).argmax(axis=1).tolist()


def test_families_are_timed_in_turns(tiny: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.measurement.latency_in_turns.too_busy", lambda _: None)
    files = {"candidate": scores(tmp_path / "one").on_disk(), "parent": scores(tmp_path / "two", seed=2).on_disk()}
    found = compared_in_turns(on(tiny, device()), files, "validation")  # type: ignore[arg-type]
    assert found is not None and set(found) == set(files)


def test_emulated_answers_are_those_of_all_heads(
    tiny: Job, family: MadeFamily, monkeypatch: pytest.MonkeyPatch
) -> None:
    """QEMU is left out: what is asked of it, and what is made of its outputs, is the same without it."""
    graph, rows, cpu = family.on_disk(), tiny.splits["test"], CPUS["Haswell"]
    profile, asked = device(), list[MeasureRequest]()

    def emulated(_: Emulator, request: MeasureRequest, timeout_s: float) -> Measurement:
        asked.append(request)
        return measure(request, profile.measure.model_copy(update={"timeout_s": timeout_s}))

    monkeypatch.setattr(Emulator, "measure", emulated)
    monkeypatch.setattr(device_answers, "find_emulator", lambda *_: Emulator("qemu", "1", cpu, None))
    found = device_answers.emulated_outputs(on(tiny, profile), cpu, graph, "test")
    np.testing.assert_allclose(found, answers(family, rows.inputs[0]), rtol=1e-4, atol=1e-5)
    assert [request.heads for request in asked] == [heads_of(graph)]


def test_golden_vectors_have_the_outputs_of_each_head(tiny: Job, family: MadeFamily) -> None:
    graph, context = family.on_disk(), on(tiny, device(max_batch=4))
    accepted = acceptance_of(context, graph, measure_on(context, graph, "test"))
    assert set(accepted.golden.tolerance) == {"one", "rest"}
    assert {spread.name for spread in accepted.spreads} == {"x", "one", "rest"}
    assert set(accepted.measured.batch_ms) == {"1", "4"}
    with np.load(accepted.golden_file) as vectors:
        for name, right in family.right(vectors[f"{INPUT}x"]).items():
            np.testing.assert_allclose(vectors[f"{OUTPUT}{name}"], right, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("fault", ["missing", "changed", "damaged"])
def test_a_family_with_a_fault_is_a_failed_measurement(tiny: Job, family: MadeFamily, fault: str) -> None:
    graph = family.on_disk()
    head = heads_of(graph)[0].path
    if fault == "missing":
        head.unlink()
    elif fault == "changed":
        head.write_bytes(b"x" + head.read_bytes()[1:])
    else:
        (graph.parent / HEADS).write_text("{}")
    evidence = measure_for(on(tiny, device()), graph, "test")
    expected = {"missing": "the graph of its head one", "changed": "head.one.onnx", "damaged": "the heads of a model"}
    assert evidence.failure is not None and expected[fault] in evidence.failure


def test_a_request_takes_the_heads_beside_a_graph(tiny: Job, family: MadeFamily) -> None:
    graph = family.on_disk()
    assert request(device(), graph, tiny.splits["test"].inputs).heads == heads_of(graph)

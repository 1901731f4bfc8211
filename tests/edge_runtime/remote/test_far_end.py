"""The device's end of a connection measures what is asked, and ends with the pipeline whatever it does then."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime.cpu import this_cpu
from edge_runtime.measurement import MeasureRequest
from edge_runtime.model_files import heads_of, model_digest
from edge_runtime.remote import PROTOCOL
from edge_runtime.settings import SessionSettings
from tests.edge_runtime.install.carried import rows
from tests.edge_runtime.made_families import defects
from tests.edge_runtime.models import linear_model, portable_model, weights
from tests.edge_runtime.processes import is_alive, measuring_children, wait_until
from tests.edge_runtime.remote.talking import Talker, far_end

ROWS = np.random.default_rng(2).standard_normal((5, 8), dtype=np.float32)


def request(model: Path) -> MeasureRequest:
    return MeasureRequest(model, {"x": ROWS}, SessionSettings(threads=1), latency_seconds=0.1, latency_repeats=20)


def measured(talker: Talker, asked: MeasureRequest) -> dict[str, Any]:
    plain, rows = talker.request(asked)
    answer = talker.ask({"ask": "measure", "timeout_s": 60, "requests": {"it": plain}}, rows)
    if answer.files:
        np.testing.assert_allclose(np.load(answer.files[0]), ROWS @ weights(8, 3), rtol=1e-5, atol=1e-6)
    return answer.content


def kept_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.is_file()]


def test_a_model_is_sent_once_measured_and_nothing_of_the_work_stays(tmp_path: Path) -> None:
    graph, kept = portable_model(tmp_path / "model"), tmp_path / "kept"
    with far_end(tmp_path / "first", kept) as talker:
        greeting = talker.hear().content
        assert (greeting["protocol"], greeting["cpu"]) == (PROTOCOL, this_cpu())
        assert len(talker.send_model(graph)) == 2
        found = measured(talker, request(graph))["measured"]
        assert found["outputs"] == 1 and found["figures"]["latency_p50_ms"] > 0
        assert talker.hang_up() == 0
    assert len(list(kept.iterdir())) == 2
    with far_end(tmp_path / "second", kept) as talker:
        talker.hear()
        assert talker.send_model(graph) == []
        talker.ask({"ask": "forget", "files": kept_in(kept)})
        assert len(talker.send_model(graph)) == 2


def test_a_family_is_measured_with_its_heads(tmp_path: Path) -> None:
    family = defects(tmp_path / "defects")
    graph = family.on_disk()
    asked = dataclasses.replace(request(graph), inputs={"x": rows()}, heads=heads_of(graph))
    with far_end(tmp_path / "talk", tmp_path / "kept") as talker:
        talker.hear()
        talker.send_model(graph)
        plain, files = talker.request(asked)
        answer = talker.ask({"ask": "measure", "timeout_s": 60, "requests": {"it": plain}}, files)
    assert "measured" in answer.content, answer.content
    assert answer.content["measured"]["sha256"] == model_digest(graph)
    for file, right in zip(answer.files, family.right(rows()).values(), strict=True):
        np.testing.assert_allclose(np.load(file), right, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["../kinds", "/etc/kinds", ""])
def test_a_head_cannot_lead_out_of_its_folder(tmp_path: Path, name: str) -> None:
    graph = defects(tmp_path / "defects").on_disk()
    asked = dataclasses.replace(request(graph), inputs={"x": rows()}, heads=heads_of(graph))
    with far_end(tmp_path / "talk", tmp_path / "kept") as talker:
        talker.hear()
        talker.send_model(graph)
        plain, files = talker.request(asked)
        plain["outputs"] = {name: ["kinds"], "faults": ["faults"]}
        question = {"ask": "measure", "timeout_s": 60, "requests": {"it": plain}}
        assert "expected heads named by letters" in talker.ask(question, files).content["sentence"]


def test_models_are_timed_in_turns_and_one_that_fails_says_so(tmp_path: Path) -> None:
    good, bad = linear_model(tmp_path / "good.onnx"), linear_model(tmp_path / "bad.onnx", inputs=9)
    with far_end(tmp_path / "talk", tmp_path / "kept") as talker:
        talker.hear()
        asked, files = dict[str, Any](), list[Path]()
        for name, model in {"good": good, "bad": bad}.items():
            talker.send_model(model)
            asked[name], rows = talker.request(request(model).for_timing())
            files += rows
        answer = talker.ask({"ask": "turns", "timeout_s": 60, "requests": asked}, files).content["turns"]
    assert answer["good"]["latency"]["latency_p50_ms"] > 0
    assert answer["bad"]["failure"] == "MeasurementFailed" and "must have the shape" in answer["bad"]["sentence"]


def test_a_models_failure_and_one_of_the_device_are_told_apart(tmp_path: Path) -> None:
    graph, kept = linear_model(tmp_path / "model.onnx", inputs=9), tmp_path / "kept"
    with far_end(tmp_path / "talk", kept) as talker:
        talker.hear()
        talker.send_model(graph)
        failed = measured(talker, request(graph))
        assert failed["failure"] == "MeasurementFailed" and "shape" in failed["sentence"]
        talker.ask({"ask": "forget", "files": kept_in(kept)})
        assert measured(talker, request(graph))["failure"] == "MeasurementInterrupted"


@pytest.mark.parametrize("question", [{"ask": "shell"}, {"ask": "have", "files": ["../../etc/passwd"]}, {}])
def test_what_is_no_question_ends_the_connection(tmp_path: Path, question: dict[str, Any]) -> None:
    with far_end(tmp_path / "talk", tmp_path / "kept") as talker:
        talker.hear()
        talker.say(question)
        with pytest.raises(EOFError):
            talker.hear()
        assert talker.process.wait(30) != 0


def test_a_pipeline_that_goes_ends_the_measurement_that_is_at_work(tmp_path: Path) -> None:
    """The answer would come after an hour; the far end must not wait for it."""
    graph, kept = linear_model(tmp_path / "model.onnx"), tmp_path / "kept"
    with far_end(tmp_path / "talk", kept) as talker:
        talker.hear()
        talker.send_model(graph)
        endless = dataclasses.replace(request(graph), latency_repeats=10**9, latency_seconds=3600.0)
        plain, rows = talker.request(endless)
        talker.say({"ask": "measure", "timeout_s": 3600, "requests": {"it": plain}}, rows)
        wait_until(lambda: any(kept.glob("work-*/edgewright-measure-*/output-0.npy")), 60)
        (worker,) = measuring_children(talker.process.pid)
        assert talker.hang_up() == 1
        wait_until(lambda: not is_alive(worker), 60)
    assert not list(kept.glob("work-*"))

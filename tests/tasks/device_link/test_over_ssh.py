"""Models are measured through a real SSH server, and a link that fails in any way is no answer about a model."""

import os
import signal
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deployments.device import OverSsh
from edge_runtime.cpu import this_cpu, this_instruction_set
from edge_runtime.errors import MeasurementFailed, MeasurementInterrupted
from edge_runtime.measurement import MeasureRequest, TurnLatency
from edge_runtime.model_files import MODEL, heads_of, model_digest
from edge_runtime.settings import SessionSettings
from tasks.device_link import instruction_set_of, machine_of, measure, measure_in_turns, measuring
from tasks.job import Job
from tasks.measurement import measure_for, measure_on
from tests.edge_runtime.models import linear_model, portable_model, weights
from tests.edge_runtime.processes import wait_until
from tests.tasks.builders import on
from tests.tasks.device_link.ssh_server import SshServer
from tests.tasks.headed import scores
from tests.tasks.tiny import FEATURES, device

ROWS = np.random.default_rng(2).standard_normal((5, 8), dtype=np.float32)


def request(model: Path) -> MeasureRequest:
    return MeasureRequest(model, {"x": ROWS}, SessionSettings(threads=1), latency_seconds=0.1, latency_repeats=20)


def changed(how: OverSsh, **changes: object) -> OverSsh:
    return how.model_copy(update=changes)


def test_a_model_is_measured_there_and_sent_once(server: SshServer, kept: Path, tmp_path: Path) -> None:
    graph = portable_model(tmp_path / "model")
    for _ in range(2):
        seen = measure(request(graph), server.how)
        np.testing.assert_allclose(seen.outputs[0], ROWS @ weights(8, 3), rtol=1e-5, atol=1e-6)
        assert 0 < seen.figures.latency_p50_ms < 60_000 and seen.figures.peak_rss_mb > seen.bare_rss_mb > 0
    (sent,) = measuring._sent.values()
    assert len(sent) == 2 and all((kept / digest).is_file() for digest in sent)
    digests = set(sent)
    measuring.forget_devices()
    assert not [digest for digest in digests if (kept / digest).exists()]


def test_a_head_that_changed_is_all_that_is_sent_again(server: SshServer, tmp_path: Path) -> None:
    one, other = scores(tmp_path / "one"), scores(tmp_path / "other", rest=13)
    rows = np.ascontiguousarray(ROWS[:, :FEATURES])
    for family in (one, other):
        asked = replace(request(family.on_disk()), inputs={"x": rows}, heads=heads_of(family.folder / "family" / MODEL))
        before = {digest for sent in measuring._sent.values() for digest in sent}
        seen = measure(asked, server.how)
        for output, right in zip(seen.outputs, family.right(rows).values(), strict=True):
            np.testing.assert_allclose(output, right, rtol=1e-4, atol=1e-5)
        assert seen.sha256 == model_digest(asked.model)
        found = measure_in_turns({"it": asked}, server.how)
        assert isinstance(found["it"], TurnLatency)
    assert len({digest for sent in measuring._sent.values() for digest in sent} - before) == 1


def test_models_are_timed_in_turns_there(server: SshServer, tmp_path: Path) -> None:
    good, bad = linear_model(tmp_path / "good.onnx"), linear_model(tmp_path / "bad.onnx", inputs=9)
    found = measure_in_turns({"good": request(good), "bad": request(bad)}, server.how)
    assert isinstance(found["good"], TurnLatency) and found["good"].calls >= 20
    assert isinstance(found["bad"], MeasurementFailed) and not isinstance(found["bad"], MeasurementInterrupted)
    assert str(found["bad"]).startswith("On 127.0.0.1: ")


def test_a_model_that_fails_there_has_failed(server: SshServer, tmp_path: Path) -> None:
    with pytest.raises(MeasurementFailed, match=r"On 127.0.0.1: .*must have the shape") as caught:
        measure(request(linear_model(tmp_path / "bad.onnx", inputs=9)), server.how)
    assert not isinstance(caught.value, MeasurementInterrupted)


def test_the_device_says_what_it_is(server: SshServer) -> None:
    assert instruction_set_of(server.how) == this_instruction_set()
    assert machine_of(server.how) not in ("", this_cpu())  # the versions there are a part of it


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"known_hosts_file": "/dev/null"}, "Host key verification failed"),
        ({"identity_file": "strange"}, "Permission denied"),
        ({"port": 1}, "Connection refused"),
        ({"python": "/no/such/python"}, "No such file"),
        ({"host": "no-such-host.invalid"}, "Could not resolve"),
    ],
)
def test_a_device_that_is_not_reached_is_no_answer(
    server: SshServer, tmp_path: Path, change: dict[str, object], says: str
) -> None:
    if "identity_file" in change:
        change = {"identity_file": str(tmp_path / "ssh" / "strange")}
    how = changed(server.how, **change)
    with pytest.raises(MeasurementInterrupted, match=says):
        measure(request(linear_model(tmp_path / "model.onnx")), how)
    assert instruction_set_of(how) is None


def test_a_link_that_is_cut_while_it_measures_is_no_answer(server: SshServer, kept: Path, tmp_path: Path) -> None:
    machine_of(server.how)
    before = set(kept.glob("work-*"))
    asked = replace(request(linear_model(tmp_path / "model.onnx")), latency_repeats=10**9, latency_seconds=3600.0)
    caught: list[BaseException] = []

    def run() -> None:
        try:
            measure(asked, changed(server.how, timeout_s=3600))
        except MeasurementInterrupted as error:
            caught.append(error)

    measuring._known[changed(server.how, timeout_s=3600)] = measuring._known[server.how]
    runner = threading.Thread(target=run)
    runner.start()
    wait_until(lambda: any(kept.glob("work-*/edgewright-measure-*/output-0.npy")), 60)
    for pid in server.sessions():
        with_suppressed_kill(pid)
    runner.join(60)
    assert caught and "says nothing about the model" in str(caught[0])
    wait_until(lambda: set(kept.glob("work-*")) <= before, 60)


def with_suppressed_kill(pid: int) -> None:
    try:
        if "sshd" in Path(f"/proc/{pid}/comm").read_text():
            os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, FileNotFoundError):
        return


def test_evidence_is_of_the_devices_own_cpu(server: SshServer, tiny: Job, file: Path) -> None:
    profile = device(measure=server.how, instruction_set=this_instruction_set())
    evidence = measure_for(on(tiny, profile), file, "test")
    here = measure_on(on(tiny, device()), file, "test")
    assert evidence.failure is None and evidence.rows is not None and here.rows is not None
    assert evidence.rows["prediction"].tolist() == here.rows["prediction"].tolist()
    assert evidence.answered_on is not None and evidence.answered_on.is_proven
    assert evidence.answered_on.name == "the CPU of 127.0.0.1"


def test_a_device_that_is_gone_blocks_and_says_so(server: SshServer, tiny: Job, file: Path) -> None:
    evidence = measure_on(on(tiny, device(measure=changed(server.how, port=1))), file, "test")
    assert evidence.interrupted and evidence.failure is not None and "Connection refused" in evidence.failure

"""A device that sends anything but an answer is interrupted, within bounds of time and size."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployments.device import OverSsh
from edge_runtime.errors import MeasurementFailed, MeasurementInterrupted
from edge_runtime.measurement import Figures, MeasureRequest
from edge_runtime.remote import PROTOCOL, Greeting
from edge_runtime.settings import SessionSettings
from tasks.device_link import ssh_device as module
from tasks.device_link import ssh_link
from tasks.device_link.ssh_device import SshDevice
from tests.edge_runtime.models import linear_model
from tests.quality_gates.builders import turn_latency

HOW = OverSsh(
    kind="ssh", host="board", memory_limit_mb=500, timeout_s=5, warmup=0, repeats=20, connect_timeout_s=1
)  # fmt: skip
ROWS = np.ones((2, 8), np.float32)
FIGURES = asdict(Figures(1000, 30.0, 2.0, 0.1, 0.2)) | {"bare_rss_mb": 20.0, "private_mb": 1.0}
GREETING = asdict(Greeting.of_this_device())
_DEVICE = """
import json, sys
out = sys.stdout.buffer
def say(content, *files):
    out.write(json.dumps(content | {"bytes": [len(file) for file in files]}).encode() + b"\\n" + b"".join(files))
    out.flush()
def until_the_end():
    import select
    waiting = select.poll()
    waiting.register(0, 0)
    waiting.poll()
def hear():
    said = json.loads(sys.stdin.buffer.readline())
    for size in said["bytes"]:
        sys.stdin.buffer.read(size)
    return said
"""


def npy(array: np.ndarray) -> bytes:
    import io

    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


RIGHT = npy(np.zeros((2, 3), np.float32))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return linear_model(tmp_path / "model.onnx")


def playing(monkeypatch: pytest.MonkeyPatch, script: str) -> SshDevice:
    """A device whose end is a script."""
    command = [sys.executable, "-c", _DEVICE + script]
    monkeypatch.setattr(module, "ssh_command", lambda _: command)
    return SshDevice(HOW, None)


def answering(monkeypatch: pytest.MonkeyPatch, answer: str) -> SshDevice:
    """A device that has every file, and answers what is measured with an expression or a statement."""
    script = f"say({GREETING!r})\nhear()\nsay({{'missing': []}})\nhear()\n{answer}\nsys.stdin.buffer.read()"
    return playing(monkeypatch, script)


def request(model: Path) -> MeasureRequest:
    return MeasureRequest(model, {"x": ROWS}, SessionSettings(threads=1), latency_repeats=1)


def measured(**changes: Any) -> str:
    return repr({"measured": {"sha256": "0" * 64, "figures": FIGURES, "outputs": 1} | changes})


def test_the_plain_answer_of_such_a_script_is_taken(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(monkeypatch, f"say({measured()}, {RIGHT!r})") as device:
        seen = device.measure(request(model))
    assert seen.outputs[0].shape == (2, 3) and seen.figures.latency_p50_ms == 0.1
    assert seen.figures.growth_mb is None  # a runtime from before that figure


def test_a_figure_that_later_runtimes_have_is_taken(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(monkeypatch, f"say({measured(figures=FIGURES | {'growth_mb': 4.0})}, {RIGHT!r})") as device:
        assert device.measure(request(model)).figures.growth_mb == 4.0


BAD_ANSWERS = {
    "a line without end": "out.write(b'x' * (1 << 22)); out.flush()",
    "no JSON": "print('Welcome to the board!', flush=True)",
    "nothing of what was asked": "say({})",
    "figures that are no numbers": f"say({measured(figures=FIGURES | {'load_ms': 'fast'})}, {RIGHT!r})",
    "figures below zero": f"say({measured(figures=FIGURES | {'load_ms': -1.0})}, {RIGHT!r})",
    "a million outputs": f"say({measured(outputs=10**6)}, {RIGHT!r})",
    "fewer outputs than said": f"say({measured(outputs=2)}, {RIGHT!r})",
    "rows of somebody else": f"say({measured()}, {npy(np.zeros((3, 3), np.float32))!r})",
    "a pickle": f"say({measured()}, {npy(np.array(['a', 'b']).astype('S3'))!r})",
    "an archive": f"say({measured()}, b'PK' + {RIGHT!r})",
    "a header that promises more": f"say({measured()}, {RIGHT!r}.replace(b'(2, 3)', b'(2, 9)'))",
    "more bytes than the answers have": f"say({measured()}, bytes(1 << 20))",
    "an end": "sys.exit(0)",
    "an end within a file": (
        f"out.write(json.dumps({measured()} | {{'bytes': [128]}}).encode() + b'\\n12'); sys.exit(0)"
    ),
    "a crash": "import os; os.abort()",
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_what_is_no_answer_interrupts(model: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with (
        answering(monkeypatch, BAD_ANSWERS[name]) as device,
        pytest.raises(MeasurementInterrupted, match=r"board: .*says nothing about the model"),
    ):
        device.measure(request(model))


def test_a_device_that_never_answers_is_given_up(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOCK_WAIT_S", -64.0)
    with answering(monkeypatch, "") as device, pytest.raises(MeasurementInterrupted, match="did not go on in time"):
        device.measure(request(model))


def test_a_flood_on_stderr_takes_neither_memory_nor_time(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOCK_WAIT_S", -64.0)
    flood = "while True: sys.stderr.write('flood ' * 10000)"
    with answering(monkeypatch, flood) as device:
        with pytest.raises(MeasurementInterrupted, match="flood") as caught:
            device.measure(request(model))
        assert len(device._link._said) <= 4096 and len(str(caught.value)) < 2000


def test_a_device_that_takes_no_bytes_is_given_up(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_link, "STALLED_S", 0.2)
    big = MeasureRequest(model, {"x": np.ones((1 << 18, 8), np.float32)}, SessionSettings(threads=1))
    script = f"say({GREETING!r})\nhear()\nsay({{'missing': []}})\nuntil_the_end()"
    with playing(monkeypatch, script) as device, pytest.raises(MeasurementInterrupted, match="did not go on in time"):
        device.measure(big)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"protocol": PROTOCOL + 1}, f"version {PROTOCOL} of the measuring protocol"),
        ({"onnxruntime": "1.2.3"}, r"expected ONNX Runtime 1.*got 1\.2\.3; install it there"),
        ({"onnxruntime": "new"}, "expected ONNX Runtime"),
        ({"cpu": "\x1b[31m"}, "printable"),
        ({"more": 1}, "measuring protocol"),
    ],
)
def test_another_runtime_is_refused(monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], says: str) -> None:
    with pytest.raises(MeasurementInterrupted, match=says), playing(monkeypatch, f"say({GREETING | change!r})"):
        pytest.fail("it was greeted")


def test_another_device_behind_the_same_name_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    other = Greeting(**GREETING | {"cpu": "another"})
    monkeypatch.setattr(
        module,
        "ssh_command",
        lambda _: [sys.executable, "-c", f"{_DEVICE}say({GREETING!r})"],
    )
    with pytest.raises(MeasurementInterrupted, match="expected the device that answered before"), SshDevice(HOW, other):
        pytest.fail("it was greeted")


@pytest.mark.parametrize("kind", ["MeasurementFailed", "MeasurementInterrupted", "SystemExit"])
def test_a_failure_keeps_its_kind_and_is_shown_as_plain_text(
    model: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    said = {"failure": kind, "sentence": "it \x1b[31m broke" + "!" * 9000}
    with answering(monkeypatch, f"say({said!r})") as device, pytest.raises(MeasurementFailed) as caught:
        device.measure(request(model))
    assert isinstance(caught.value, MeasurementInterrupted) is (kind != "MeasurementFailed")
    assert str(caught.value).startswith("On board: it  [31m broke!") and len(str(caught.value)) < 2100


BAD_TIMES = [
    {},
    {"it": {}},
    {"it": {"latency": {}}},
    {"it": {"latency": asdict(turn_latency(0.1)) | {"blocks": 1.5}}},
    {"it": {"latency": asdict(turn_latency(0.1)) | {"latency_p50_ms": 0}}},
    {"it": {"latency": asdict(turn_latency(0.1)) | {"load_ms": "1"}}},
]


@pytest.mark.parametrize("turns", BAD_TIMES, ids=range(len(BAD_TIMES)))
def test_times_are_numbers_above_zero(model: Path, monkeypatch: pytest.MonkeyPatch, turns: dict[str, Any]) -> None:
    with answering(monkeypatch, f"say({{'turns': {json.loads(json.dumps(turns))!r}}})") as device:
        try:
            found = device.measure_in_turns({"it": request(model)})["it"]
        except MeasurementInterrupted:
            return
        assert isinstance(found, MeasurementInterrupted)


def test_the_command_asks_nobody_and_trusts_no_new_key() -> None:
    how = HOW.model_copy(update={"user": "me", "port": 2222, "identity_file": "~/a key", "known_hosts_file": "/a b"})
    command = ssh_link.ssh_command(how)
    assert {"-oBatchMode=yes", "-oStrictHostKeyChecking=yes", "-oConnectTimeout=1", '-oUserKnownHostsFile="/a b"'} <= (
        set(command)
    )
    assert command[-3:] == ["--", "board", "exec /opt/edgewright/bin/python -P -m edge_runtime.remote"]
    assert str(Path.home() / "a key") in command

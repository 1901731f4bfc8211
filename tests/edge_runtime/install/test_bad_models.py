"""Models that crash, hang, take too much memory, or answer wrongly: none of them runs, and none is tried again."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_runtime.bundle import Measured
from edge_runtime.errors import BundleRefused, DeviceFailed
from edge_runtime.install import Limits, Tuning, running
from edge_runtime.install.state import read_state
from edge_runtime.measurement import runner
from edge_runtime.model_files import weights_of
from edge_runtime.settings import SessionSettings
from tests.edge_runtime.install.carried import CLASSES, LAYERS, MODEL, WIDTH, Carried, small_model
from tests.edge_runtime.install.conftest import QUICK, Site


def endless(folder: Path) -> dict[str, Path]:
    """Write a model whose loop goes on for 2**62 turns."""
    step = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["goes"]), helper.make_node("Identity", ["old"], ["new"])],
        "step",
        [helper.make_tensor_value_info("turn", TensorProto.INT64, []),
         helper.make_tensor_value_info("go", TensorProto.BOOL, []),
         helper.make_tensor_value_info("old", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("goes", TensorProto.BOOL, []),
         helper.make_tensor_value_info("new", TensorProto.FLOAT, None)],
    )  # fmt: skip
    turns = helper.make_node("Constant", [], ["turns"], value=numpy_helper.from_array(np.array(2**62, np.int64)))
    go = helper.make_node("Constant", [], ["begin"], value=numpy_helper.from_array(np.array(True)))
    first = helper.make_node("MatMul", ["x", "w"], ["h"])
    loop = helper.make_node("Loop", ["turns", "begin", "h"], ["looped"], body=step)
    return small_model(folder, 1, [turns, go, first, loop, helper.make_node("MatMul", ["looped", "v"], ["y"])])


def greedy(folder: Path) -> dict[str, Path]:
    """Write a model that expands its rows to 4 GB on the way."""
    shape = helper.make_node("Constant", [], ["wide"], value=numpy_helper.from_array(np.array([2**24, WIDTH])))
    first = helper.make_node("Expand", ["total", "wide"], ["expanded"])
    nodes = [
        shape,
        helper.make_node("ReduceSum", ["x"], ["total"], keepdims=1),
        first,
        helper.make_node("ReduceMax", ["expanded"], ["most"], keepdims=1),
        helper.make_node("Add", ["x", "most"], ["h"]),
        helper.make_node("MatMul", ["h", "v"], ["y"]),
    ]
    return small_model(folder, 1, nodes)


def broken(folder: Path) -> dict[str, Path]:
    """Write a model that divides by nothing."""
    nodes = [*LAYERS[:2], helper.make_node("Sub", ["r", "r"], ["z"]), helper.make_node("Div", ["z", "z"], ["n"])]
    return small_model(folder, 1, [*nodes, helper.make_node("MatMul", ["n", "v"], ["y"])])


def no_graph(folder: Path) -> dict[str, Path]:
    """Write a model that uses an operator which nobody has."""
    files = small_model(folder, 1)
    model = onnx.load(files["model.onnx"])
    model.graph.node[0].op_type = "Nothing"
    onnx.save(model, files["model.onnx"])
    return files


RIGHT = np.zeros((8, CLASSES), np.float32)


def check_refused(site: Site, bad: Carried, sentence: str, settings: object = QUICK) -> None:
    """Check that a bundle is refused after the good one before it, that this goes on running, and that it stays so."""
    good = site.carry(100)
    site.install(good)
    with pytest.raises(BundleRefused, match=sentence):
        site.install(bad, settings)  # type: ignore[arg-type]
    assert running(site.store, MODEL).bundle.digest == good.digest
    begun = time.monotonic()
    with pytest.raises(BundleRefused, match="is not tried again"):
        site.install(bad)
    assert time.monotonic() - begun < 30
    state = read_state(site.store.root, MODEL)
    assert (state.current, state.trial) == (good.digest, None)
    assert [each.digest for each in state.refused] == [bad.digest]
    assert not any(bad.digest in path for path in site.files()), "its files are no use to anybody"
    assert site.install(site.carry(101)).changed, "the next good one is installed"


def test_a_model_that_hangs(site: Site) -> None:
    bad = site.carry(2, files=endless(site.folder / "bad"), answers=RIGHT)
    check_refused(site, bad, "did not end its smoke test in 4 s", replace(QUICK, limits=Limits(time_s=4)))


def test_a_model_that_takes_too_much_memory(site: Site) -> None:
    bad = site.carry(2, files=greedy(site.folder / "bad"), answers=RIGHT)
    check_refused(site, bad, "does not fit the memory limit of 264 MiB")


def test_a_limit_on_memory_of_the_device_itself(site: Site) -> None:
    bad = site.carry(2, measured=Measured())
    check_refused(site, bad, "memory limit of 20 MiB", replace(QUICK, limits=Limits(memory_mb=20)))


def test_a_model_that_answers_no_numbers(site: Site) -> None:
    bad = site.carry(2, files=broken(site.folder / "bad"), answers=RIGHT)
    check_refused(site, bad, "NaN|no numbers|not finite|infinite")


def test_a_model_that_answers_wrongly(site: Site) -> None:
    bad = site.carry(2, answers=RIGHT)
    check_refused(site, bad, "answers wrongly on this device: the output y misses the expected answer by")


def test_a_model_whose_answers_have_another_shape(site: Site) -> None:
    bad = site.carry(2, answers=np.zeros((8, CLASSES + 1), np.float32))
    check_refused(site, bad, r"the output y has the shape \(8, 8\), not \(8, 9\)")


def test_a_model_that_is_too_slow(site: Site) -> None:
    bad = site.carry(2)
    check_refused(site, bad, "is too slow on this device", replace(QUICK, limits=Limits(latency_ms=1e-6)))


def test_a_model_that_does_not_load(site: Site) -> None:
    bad = site.carry(2, files=no_graph(site.folder / "bad"), answers=RIGHT)
    check_refused(site, bad, "failed its smoke test: .*does not load")


def test_a_model_that_crashes(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = site.carry(100), site.carry(2)
    site.install(good)
    crash = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    with monkeypatch.context() as crashing:
        crashing.setattr(runner, "WORKER", ("-c", crash))
        with pytest.raises(BundleRefused, match="was ended by SIGSEGV"):
            site.install(bad)
    with pytest.raises(BundleRefused, match="is not tried again"):
        site.install(bad)
    assert running(site.store, MODEL).bundle.digest == good.digest


def test_a_good_model_is_not_refused_for_a_kill_from_outside(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel, an operator or a crash of somebody else ends the trial: it is taken again."""
    good, second = site.carry(100), site.carry(2)
    site.install(good)
    kill = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    with monkeypatch.context() as killing:
        killing.setattr(runner, "WORKER", ("-c", kill))
        with pytest.raises(DeviceFailed, match="was interrupted, run again") as raised:
            site.install(second)
    assert not isinstance(raised.value, BundleRefused)
    assert site.install(second).changed and read_state(site.store.root, MODEL).current == second.digest


INSTALL = """
import sys, logging
from pathlib import Path
from edge_runtime.install import DeviceStore, FolderSource, InstallSettings, Tuning, install
store, root, manifest = (Path(each) for each in sys.argv[1:4])
install(DeviceStore(store, "gateway"), "camera", manifest.read_bytes(), FolderSource(root), InstallSettings())
"""


def test_kills_of_the_installer_in_a_trial_leave_a_working_device(site: Site) -> None:
    """The device works after each, and takes the next bundle."""
    good, second = site.carry(100), site.carry(2, files=endless(site.folder / "slow"), answers=RIGHT)
    site.install(good)
    manifest = site.folder / "manifest.json"
    manifest.write_bytes(second.data)
    command = [sys.executable, "-c", INSTALL, str(site.store.root), str(second.root), str(manifest)]
    for attempt in (1, 2):
        with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}) as child:
            deadline = time.monotonic() + 60
            while read_state(site.store.root, MODEL).attempts_of(second.digest) < attempt:
                assert time.monotonic() < deadline, "no trial began"
                time.sleep(0.05)
            child.send_signal(signal.SIGKILL)
        assert running(site.store, MODEL).bundle.digest == good.digest
    third = site.carry(3)
    assert site.install(third).changed and running(site.store, MODEL).bundle.digest == third.digest


def test_a_tuned_graph_that_answers_otherwise_is_not_used(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Tuning can fail in any way: the bundle is installed with its portable graph."""
    first = site.carry(1)
    wrong = small_model(site.folder / "wrong", 9)["model.onnx"]
    script = (
        "import json, shutil, sys; from pathlib import Path; "
        f"request = json.loads(Path(sys.argv[-1]).read_text()); shutil.copy({str(wrong)!r}, request['folder'])"
    )
    monkeypatch.setattr("edge_runtime.install.tuning.WORKER", ("-c", script))
    with caplog.at_level(logging.INFO):
        site.install(first, replace(QUICK, tuning=Tuning()))
    assert "is not used: camera version 1 answers wrongly" in caplog.text
    found = running(site.store, MODEL)
    assert found.graph == found.bundle.entry_path


@pytest.mark.parametrize("script", ["import sys; sys.exit(3)", "import os; os.abort()", "import time; time.sleep(60)"])
def test_tuning_that_fails_leaves_the_portable_graph(
    site: Site, script: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("edge_runtime.install.tuning.WORKER", ("-c", script))
    site.install(site.carry(1), replace(QUICK, tuning=Tuning(), limits=Limits(time_s=5)))
    assert "no tuned graph was made" in caplog.text
    found = running(site.store, MODEL)
    assert found.graph == found.bundle.entry_path


def test_the_fastest_choice_runs_and_holds_for_this_cpu_and_runtime(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = site.carry(1)
    monkeypatch.setattr("edge_runtime.install.choices.NEAR", 1e9)  # any choice is faster than that
    site.install(first, replace(QUICK, tuning=Tuning()))
    tuned = running(site.store, MODEL)
    assert tuned.graph.parent == site.store.tuned_folder(first.digest) and tuned.session.optimization == "off"
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("edge_runtime.install.tuning.this_cpu", lambda: "another")
        assert running(site.store, MODEL).graph == tuned.bundle.entry_path
    assert "it was made with another ONNX Runtime, plugin or CPU" in caplog.text
    assert not any(path.stat().st_mode & 0o222 for path in (tuned.graph, *weights_of(tuned.graph)))
    tuned.graph.chmod(0o644)
    tuned.graph.write_bytes(tuned.graph.read_bytes() + b"\0")
    assert running(site.store, MODEL).graph == tuned.bundle.entry_path


def test_threads_and_providers_are_chosen_by_measuring(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_runtime.install.choices.NEAR", 1e9)
    tuning = Tuning(tuned_graph=False, threads=(2,), providers=("CPUExecutionProvider", "NoSuchProvider"))
    site.install(site.carry(1), replace(QUICK, tuning=tuning))
    found = running(site.store, MODEL)
    assert found.session == SessionSettings(threads=2) and found.graph == found.bundle.entry_path


def test_status_can_be_read_while_an_install_is_at_work(site: Site) -> None:
    first, second = site.carry(1), site.carry(2)
    site.install(first)
    seen: list[str | None] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            seen.append(read_state(site.store.root, MODEL).current)

    reader = threading.Thread(target=look)
    reader.start()
    site.install(second)
    done.set()
    reader.join()
    assert set(seen) <= {first.digest, second.digest} and seen

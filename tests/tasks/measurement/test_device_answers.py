"""Answers from the device's class of CPU beside figures from this machine, or a reason why there are none."""

import json
from pathlib import Path

import pandas as pd
import pytest

from deployments.device import DeviceProfile
from deployments.instruction_sets import CPUS
from edge_runtime.measurement import Measurement, MeasureRequest
from quality_gates.evidence import AnsweringCpu
from tasks.emulation.emulator import Emulator
from tasks.job import Job
from tasks.measurement import device_answers as module
from tasks.measurement import measure_for, measure_on
from tests.tasks.builders import on
from tests.tasks.emulation import needed
from tests.tasks.tiny import device


@pytest.mark.usefixtures("elsewhere")
def test_native_answers_are_those_of_the_measured_process(tiny: Job, file: Path) -> None:
    seen = measure_for(on(tiny, device()), file, "test")
    assert str(seen.answered_on) == "avx512_vnni, not the device's avx2"
    assert seen.rows is not None and seen.resources is not None


@pytest.mark.usefixtures("elsewhere")
def test_without_the_emulator_there_are_figures_but_no_answers(
    tiny: Job, file: Path, emulated: DeviceProfile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    warned: list[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("PATH", str(tmp_path))
    seen = measure_for(on(tiny, emulated), file, "test")
    assert (seen.rows, seen.failure, seen.answered_on) == (None, None, None)
    assert seen.resources is not None and seen.resources.size_bytes == file.stat().st_size
    assert seen.unanswered is not None and "Install qemu-user-static" in seen.unanswered.remedy
    assert len(warned) == 1 and "bench: expected qemu-x86_64-static to emulate Haswell" in warned[0]


@pytest.mark.usefixtures("elsewhere")
def test_a_run_that_fails_under_emulation_is_a_failed_measurement(
    tiny: Job, file: Path, emulated: DeviceProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = Emulator("/bin/false", "0", CPUS["Haswell"], None)
    monkeypatch.setattr(module, "find_emulator", lambda *_: refusing)
    seen = measure_for(on(tiny, emulated), file, "test")
    assert (seen.rows, seen.resources) == (None, None)
    assert seen.failure is not None and seen.failure.startswith("On Haswell, emulated: The process that measured")


@pytest.mark.usefixtures("elsewhere")
def test_a_file_that_does_not_run_here_is_not_emulated(
    tiny: Job, tmp_path: Path, emulated: DeviceProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no graph")
    monkeypatch.setattr(module, "find_emulator", lambda *_: pytest.fail("was emulated"))
    seen = measure_for(on(tiny, emulated), broken, "test")
    assert seen.failure is not None and "expected an ONNX graph" in seen.failure


@needed.haswell
@pytest.mark.usefixtures("elsewhere")
def test_emulated_answers_are_taken_once_and_no_figure_with_them(
    tiny: Job, file: Path, emulated: DeviceProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[MeasureRequest] = []
    run = Emulator.measure

    def counted(self: Emulator, request: MeasureRequest, timeout_s: float) -> Measurement:
        asked.append(request)
        return run(self, request, timeout_s)

    monkeypatch.setattr(Emulator, "measure", counted)
    native = measure_on(on(tiny, emulated), file, "test")
    seen = measure_for(on(tiny, emulated), file, "test")
    again = measure_for(on(tiny, emulated), file, "test")
    assert len(asked) == 1
    assert (asked[0].rows, asked[0].memory_limit_mb, asked[0].latency_repeats) == (30, None, 1)
    assert seen.answered_on == again.answered_on == AnsweringCpu("Haswell, emulated", "avx2", "avx2")
    assert seen.resources == native.resources
    assert seen.rows is not None and native.rows is not None and again.rows is not None
    pd.testing.assert_frame_equal(seen.rows, again.rows)
    assert seen.rows["prediction"].tolist() == native.rows["prediction"].tolist()
    (stage,) = (tiny.workspace.store.root / "emulate").iterdir()
    assert json.loads((stage / "result.json").read_text())["value"] == {"rows": 30}

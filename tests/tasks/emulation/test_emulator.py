"""The emulator: found or said to be missing, and what it runs answers as ONNX Runtime does."""

from pathlib import Path

import numpy as np
import pytest

from deployments.instruction_sets import CPUS
from edge_runtime.errors import MeasurementFailed
from edge_runtime.measurement import MeasureRequest
from edge_runtime.settings import SessionSettings
from tasks.emulation.emulator import Emulator, arm_cpuinfo, find_emulator
from tasks.errors import EmulatorMissing
from tests.edge_runtime.models import linear_model, weights
from tests.tasks.emulation import needed

ROWS = np.random.default_rng(2).standard_normal((9, 8), dtype=np.float32)


def request(tmp_path: Path) -> MeasureRequest:
    model = linear_model(tmp_path / "linear.onnx", 8)
    return MeasureRequest(model, {"x": ROWS}, SessionSettings(1), batch_size=4, latency_warmup=0, latency_repeats=1)


@pytest.mark.parametrize("cpu", ["Haswell", "cortex-a72"])
def test_without_the_emulator_the_remedy_is_its_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cpu: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EmulatorMissing) as caught:
        find_emulator(CPUS[cpu], tmp_path)
    assert f"-static to emulate {cpu} with, got no such program on the PATH" in caught.value.reason
    assert "sudo apt-get install qemu-user-static" in caught.value.remedy


def test_an_emulator_that_does_not_run_is_missing_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "qemu-x86_64"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("tasks.emulation.emulator.platform.machine", lambda: "x86_64")
    with pytest.raises(EmulatorMissing, match=r"expected .*qemu-x86_64 to say its version, got .* exit status 3"):
        find_emulator(CPUS["Haswell"], tmp_path)


def test_a_cpu_that_the_emulator_does_not_have_is_a_failed_measurement(tmp_path: Path) -> None:
    refusing = Emulator("/bin/false", "0", CPUS["Haswell"], None)
    with pytest.raises(MeasurementFailed, match="ended with status 1"):
        refusing.measure(request(tmp_path), 60)


def test_an_arm_core_tells_its_part_and_whether_it_has_the_dot_product() -> None:
    plain, dotprod = arm_cpuinfo("0xd08", False), arm_cpuinfo("0xd0c", True)
    assert "CPU part\t: 0xd08\n" in plain and "asimddp" not in plain
    assert "CPU part\t: 0xd0c\n" in dotprod and "asimddp" in dotprod


@needed.haswell
def test_an_emulated_x86_cpu_answers(tmp_path: Path) -> None:
    emulator = find_emulator(CPUS["Haswell"], tmp_path)
    assert emulator.identity["root"] is None and "version" in str(emulator.identity["qemu"])
    seen = emulator.measure(request(tmp_path), 120)
    np.testing.assert_allclose(seen.outputs[0], ROWS @ weights(8, 3), rtol=1e-5, atol=1e-6)


@needed.arm
@pytest.mark.parametrize("cpu", ["cortex-a53", "cortex-a72", "cortex-a76", "neoverse-n1"])
def test_an_emulated_arm_cpu_answers(tmp_path: Path, cpu: str) -> None:
    emulator = find_emulator(CPUS[cpu], needed.HOME)
    assert emulator.identity["root"]
    seen = emulator.measure(request(tmp_path), 120)
    np.testing.assert_allclose(seen.outputs[0], ROWS @ weights(8, 3), rtol=1e-5, atol=1e-6)

"""A device of another class of CPU, the whole way: nothing is published unanswered, and all of it once it can be."""

from pathlib import Path

import pytest

import flows.compress
from quality_gates.report import ReportContent
from quality_gates.verdict import Verdict
from tasks.emulation import availability as available
from tasks.registry import EdgeModels, Runs
from tasks.reporting import DeviceOutcome
from tasks.workspace import Workspace
from tests.flows.conftest import Variant
from tests.tasks.emulation import needed

DEVICE = {"answers": {"kind": "emulated", "cpu": "Haswell", "timeout_s": 300}}
LENIENT = [
    {
        "kind": "non_inferiority",
        "name": f"accuracy against {against}",
        "metric": "accuracy",
        "against": against,
        "margin": 0.3,
        "confidence": 0.95,
        "on_inconclusive": "warn",
    }
    for against in ("parent", "deployed")
]


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(available, "instruction_set_here", lambda: "avx512_vnni")


def report(world: Workspace, device: DeviceOutcome, name: str) -> str:
    runs = Runs(world.tracking_uri, "tiny")
    return Path(runs.client.download_artifacts(device.run_id, name)).read_text()


def test_without_the_emulator_nothing_is_published_and_the_remedy_is_said(
    world: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    recipe = variant("unanswered", {"gates": LENIENT}, DEVICE)
    outcome = flows.compress.compress("tiny", "1", recipe, world)
    assert outcome.answer == "refused"
    (device,) = outcome.devices
    assert (device.verdict, device.answered_on, device.accuracy.candidate) == ("inconclusive", None, None)
    assert EdgeModels(world.tracking_uri, "tiny").deployed("unanswered") is None
    gates = Verdict.model_validate_json(report(world, device, "verdict.json")).gates
    on_answers = [gate for gate in gates if gate.kind == "non_inferiority"]
    assert {gate.outcome for gate in on_answers} == {"inconclusive"} and all(gate.blocking for gate in on_answers)
    assert all("Install qemu-user-static" in str(gate.remedy) for gate in on_answers)
    assert all(gate.outcome == "pass" for gate in gates if gate.kind == "limit")
    assert "No answers were taken on the device&#39;s CPU" in report(world, device, "report.html")


@needed.haswell
def test_with_the_emulator_the_same_version_is_answered_there(
    world: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recipe = variant("answered", {"gates": LENIENT}, DEVICE)
    with monkeypatch.context() as bare:
        bare.setenv("PATH", str(tmp_path))
        assert flows.compress.compress("tiny", "1", recipe, world).answer == "refused"
    outcome = flows.compress.compress("tiny", "1", recipe, world)
    assert (outcome.answer, outcome.reused) == ("published", False)
    (device,) = outcome.devices
    assert device.answered_on == "Haswell, emulated"
    content = ReportContent.model_validate_json(report(world, device, "report.json"))
    assert content.answers.startswith(
        "Answers of the candidate and of what is deployed are taken on an emulated Haswell"
    )
    assert "No latency, memory or load time is taken under emulation" in content.answers


def test_native_answers_of_another_class_are_said_in_the_report(world: Workspace, variant: Variant) -> None:
    outcome = flows.compress.compress("tiny", "1", variant("native"), world)
    (device,) = outcome.devices
    assert (device.verdict, device.answered_on) == ("pass", "this machine's CPU")
    assert "(avx512_vnni), which differs from the device&#39;s: avx2." in report(world, device, "report.html")

"""A device of another class of CPU, the whole way: nothing is published unanswered, and all of it once it can be."""

from datetime import date
from pathlib import Path

import pytest

import flows.compress
from edge_runtime.bundle import Validity
from quality_gates.report import ReportContent
from quality_gates.verdict import Verdict
from tasks.delivery import approve_version
from tasks.device_link import measuring as available
from tasks.outcomes import DeviceOutcome
from tasks.registry import EdgeModels, Runs
from tasks.workspace import Workspace
from tests.edge_runtime.bundle.listing import bundles_in, manifests_in
from tests.flows.conftest import Variant
from tests.tasks.emulation import needed

UNPROVEN = "avx512_vnni, not the device's avx2"
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
    monkeypatch.setattr(available, "this_instruction_set", lambda: "avx512_vnni")


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
    assert [(gate.outcome, gate.blocking) for gate in gates if gate.kind == "instruction_set"] == [
        ("inconclusive", True)
    ]
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


def test_answers_of_another_class_that_the_recipe_accepts_are_amber_everywhere(
    world: Workspace, variant: Variant
) -> None:
    outcome = flows.compress.compress("tiny", "1", variant("accepted"), world)
    (device,) = outcome.devices
    assert (device.verdict, device.answered_on) == ("pass", "this machine's CPU")
    page = report(world, device, "report.html")
    assert '<p class="unproven"><strong>Not proven:</strong>' in page
    assert "(avx512_vnni), which differs from the device&#39;s: avx2." in page and "The recipe accepts it." in page
    content = ReportContent.model_validate_json(report(world, device, "report.json"))
    assert content.is_unproven and content.instruction_set == UNPROVEN
    gate = content.verdict.gates[-1]
    assert (gate.kind, gate.outcome, gate.blocking) == ("instruction_set", "inconclusive", False)
    edge = EdgeModels(world.tracking_uri, "tiny").deployed("accepted")
    assert edge is not None and edge.answers == UNPROVEN
    registered = EdgeModels(world.tracking_uri, "tiny").client.get_model_version(edge.name, edge.version)
    assert registered.tags["edgewright.answers"] == UNPROVEN
    assert registered.description is not None and "**Not proven:** Answers are taken on" in registered.description
    (bundle,) = bundles_in(world.target, "tiny", "accepted")
    assert bundle.manifest.lineage["answers"] == UNPROVEN
    assert bundle.manifest.validity == Validity((), elsewhere=True)


def test_answers_of_another_class_are_not_published_unless_a_person_answers_for_them(
    world: Workspace, variant: Variant
) -> None:
    recipe = variant("unproven", {"accept_unproven_instruction_set": False})
    (device,) = flows.compress.compress("tiny", "1", recipe, world).devices
    assert (device.verdict, device.published) == ("inconclusive", False)
    assert len(device.reasons) == 1 and device.reasons[0].startswith("Instruction set: 0 rows of ")
    models = EdgeModels(world.tracking_uri, "tiny")
    assert models.deployed("unproven") is None and manifests_in(world.target, "tiny", "unproven") == []
    words = {"name": "Ada", "reason": "Tried on the press by hand.", "until": date(2999, 1, 1)}
    after = approve_version(world, "tiny", "1", "unproven", **words)  # type: ignore[arg-type]
    assert (after.verdict, after.published) == ("overridden", True)
    ((manifest),) = (bundle.manifest for bundle in bundles_in(world.target, "tiny", "unproven"))
    assert (manifest.lineage["answers"], manifest.approval["approved_by"]) == (UNPROVEN, "Ada")
    assert manifest.validity == Validity((), elsewhere=True)


def test_on_a_machine_of_the_devices_class_nothing_is_amber(
    world: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(available, "this_instruction_set", lambda: "avx2")
    recipe = variant("proven", {"accept_unproven_instruction_set": False})
    (device,) = flows.compress.compress("tiny", "1", recipe, world).devices
    content = ReportContent.model_validate_json(report(world, device, "report.json"))
    assert content.verdict.gates[-1].outcome == "pass" and not content.is_unproven
    assert 'class="unproven"' not in report(world, device, "report.html")
    (bundle,) = bundles_in(world.target, "tiny", "proven")
    assert bundle.manifest.lineage["answers"] == "avx2"
    assert bundle.manifest.validity == Validity(("avx2",), elsewhere=False)

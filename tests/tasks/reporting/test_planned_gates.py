"""Plans of gates: rates that earlier verdicts of the model on the device counted, and those assumed without any."""

from pathlib import Path

import pytest

from quality_gates.verdict import GateResult, Verdict
from tasks.registry import Answers, Runs
from tasks.reporting import VERDICT, earlier_verdicts, plan_gates
from tasks.workspace import Workspace
from tests.deployments.yaml_cases import HERE
from tests.tasks.outcomes.recorded import NEW


def verdict(lost: int) -> Verdict:
    gate = GateResult(
        name="accuracy", kind="non_inferiority", outcome="pass", blocking=True, metric="accuracy", against="parent",
        n=30, gained=lost, lost=lost, candidate_value=0.9, sentence="It held.",
    )  # fmt: skip
    return Verdict.of((gate,))


def record(runs: Runs, version: str, device: str, text: str | None) -> None:
    parent = runs.parent(version, f"key {version} {device}", "m", {})
    run = runs.device(parent, version, device, f"device {version} {device}")
    if text is not None:
        runs.text(run, VERDICT, text)
    own = {"run_id": run, "version_run_id": parent, "version": version, "device": device}
    Answers(runs).record(run, "refused", NEW | own)


def test_verdicts_are_read_of_the_device_alone_the_newest_first(
    tracking_uri: str, warned: list[str], request: pytest.FixtureRequest
) -> None:
    runs = Runs(tracking_uri, str(request.node.name))
    for version in range(1, 9):
        record(runs, str(version), "bench", verdict(version).model_dump_json())
    record(runs, "9", "another", verdict(9).model_dump_json())
    record(runs, "10", "bench", None)
    record(runs, "11", "bench", "{}")
    found = earlier_verdicts(runs, "bench")
    assert [each.gates[0].lost for each in found] == [8, 7, 6, 5, 4]
    assert len([said for said in warned if "in another form is passed over" in said]) == 1


def test_without_a_registry_rates_are_assumed_and_none_is_made(tmp_path: Path) -> None:
    workspace = Workspace.at(tmp_path / "home")
    (plan,) = plan_gates(HERE / "valid" / "smallest.yaml", 0.05, 0.9, workspace)
    assert plan.joint.versions == 0 and {line.name for line in plan.lines} >= set(plan.joint.by_gate)
    assert not (tmp_path / "home").exists()


def test_a_registry_that_is_down_leaves_the_rates_assumed_and_is_told(
    tmp_path: Path, unreachable: str, warned: list[str]
) -> None:
    workspace = Workspace.at(tmp_path / "home", unreachable)
    (plan,) = plan_gates(HERE / "valid" / "smallest.yaml", 0.05, 0.9, workspace)
    assert (plan.joint.versions, plan.registry_is_there, plan.spending) == (0, False, None)
    assert any(f"planned without the registry: MLflow at {unreachable}" in said for said in warned)

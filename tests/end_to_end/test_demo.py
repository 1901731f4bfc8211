"""`make demo`: the story comes out as the README tells it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.model_files import model_digest
from tasks.registry import EdgeModels, Runs
from tasks.workspace import Workspace
from tests.edge_runtime.bundle.listing import bundles_in

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(900)]

DEVICES = ("gateway", "camera")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Run the demo in an empty place; returns its folder and what it printed."""
    home = tmp_path_factory.mktemp("demo")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
    environment |= {"EDGEWRIGHT_HOME": str(home), "COLUMNS": "100"}
    command = [str(Path(sys.executable).with_name("edgewright")), "demo"]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=850, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return home / "demo", ended.stdout


@pytest.fixture(scope="module")
def summary(demo: tuple[Path, str]) -> dict[tuple[str, str], dict[str, Any]]:
    entries = json.loads((demo[0] / "summary.json").read_text())
    return {(entry["version"], entry["device"]): entry for entry in entries}


def test_two_versions_are_published_and_the_damaged_one_is_not(summary: dict[tuple[str, str], dict[str, Any]]) -> None:
    assert {key: entry["published"] for key, entry in summary.items()} == {
        (version, device): version != "3" for version in "123" for device in DEVICES
    }


def test_published_candidates_are_five_times_smaller_and_no_slower(
    summary: dict[tuple[str, str], dict[str, Any]],
) -> None:
    published = [entry for entry in summary.values() if entry["published"]]
    assert len(published) == 4
    for entry in published:
        assert entry["figures"]["candidate"]["size_bytes"] * 5 <= entry["figures"]["parent"]["size_bytes"]
        assert entry["figures"]["candidate"]["latency_p50_ms"] <= entry["figures"]["parent"]["latency_p50_ms"]
        assert entry["figures"]["candidate"]["peak_rss_mb"] > 0


@pytest.mark.parametrize("device", DEVICES)
def test_the_damaged_version_is_as_good_as_its_parent_and_fails_against_the_deployed_one(
    summary: dict[tuple[str, str], dict[str, Any]], demo: tuple[Path, str], device: str
) -> None:
    entry = summary["3", device]
    workspace = Workspace.at(demo[0])
    runs = Runs(workspace.tracking_uri, "digits")
    (run,) = runs.search({"edgewright.stage": device, "edgewright.verdict": "fail"})
    verdict = json.loads(Path(runs.client.download_artifacts(run.info.run_id, "verdict.json")).read_text())
    outcomes = {gate["name"]: gate["outcome"] for gate in verdict["gates"]}
    assert outcomes["accuracy against parent"] == outcomes["recall on 8 against parent"] == "pass"
    assert outcomes["recall on 8 against deployed"] == "fail"
    assert entry["critical_slice"]["deployed"] - entry["critical_slice"]["candidate"] > 0.3
    assert any("label = 8" in reason and "89 rows" in reason for reason in entry["reasons"])


@pytest.mark.parametrize("device", DEVICES)
def test_version_2_stays_deployed_and_version_1_is_the_way_back(demo: tuple[Path, str], device: str) -> None:
    models = EdgeModels(Workspace.at(demo[0]).tracking_uri, "digits")
    deployed, previous = models.deployed(device), models.previous(device)
    assert deployed is not None and previous is not None
    assert (deployed.source_version, previous.source_version) == ("2", "1")


@pytest.mark.parametrize("device", DEVICES)
def test_the_target_holds_the_two_published_bundles_whole(demo: tuple[Path, str], device: str) -> None:
    bundles = bundles_in(demo[0] / "target", "digits", device)
    assert sorted(bundle.manifest.version for bundle in bundles) == ["1", "2"]
    for bundle in bundles:
        names = {blob.name for blob in bundle.manifest.blobs} - {"model.onnx", "golden.npz"}
        assert names  # its weights are files of their own
        assert bundle.manifest.golden is not None and bundle.manifest.measured.figures["latency_p50_ms"] > 0


@pytest.mark.parametrize("device", DEVICES)
def test_the_deployed_model_is_the_one_in_the_bundle(demo: tuple[Path, str], tmp_path: Path, device: str) -> None:
    models = EdgeModels(Workspace.at(demo[0]).tracking_uri, "digits")
    bundles = {bundle.manifest.version: bundle for bundle in bundles_in(demo[0] / "target", "digits", device)}
    deployed = models.deployed(device)
    assert deployed is not None
    assert (
        model_digest(models.fetch(deployed, tmp_path / "fetched"))
        == deployed.file_sha256
        == bundles["2"].entry_path.name
    )


@pytest.mark.parametrize("device", DEVICES)
def test_every_report_says_its_verdict_and_shows_the_flipped_rows(demo: tuple[Path, str], device: str) -> None:
    runs = Runs(Workspace.at(demo[0]).tracking_uri, "digits")
    (run,) = runs.search({"edgewright.stage": device, "edgewright.verdict": "fail"})
    page = Path(runs.client.download_artifacts(run.info.run_id, "report.html")).read_text()
    assert "Refused; version 2 stays deployed" in page
    assert page.count("data:image/png;base64,") > 5


def test_the_second_time_nothing_is_computed(demo: tuple[Path, str]) -> None:
    assert "nothing was computed again" in demo[1]
    assert "make ui" in demo[1]

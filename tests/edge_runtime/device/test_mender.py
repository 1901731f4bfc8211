"""States of Mender's update module, called as Mender calls it."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.configuration import read_configuration
from edge_runtime.device.mender import BEFORE, PAYLOAD, go_back, remembered
from edge_runtime.errors import InstallError
from tests.edge_runtime.device.carrying import CarriedRepository
from tests.edge_runtime.install.carried import MODEL


@pytest.fixture
def tree(tmp_path: Path, carried: CarriedRepository) -> Path:
    """The folder of an artifact with the release of seed 1, as Mender lays it out."""
    return artifact(tmp_path / "tree", carried)


def artifact(tree: Path, carried: CarriedRepository) -> Path:
    shutil.rmtree(tree, ignore_errors=True)
    for folder in ("files", "tmp", "header"):
        (tree / folder).mkdir(parents=True)
    carried.packed(tree / PAYLOAD)
    return tree


def test_an_artifact_is_installed_and_rolled_back_once(carried: CarriedRepository, tree: Path) -> None:
    device = carried.device
    assert device.run("install", carried.root).returncode == 0
    first = device.runs().current
    second = carried.offer(2)
    artifact(tree, carried)
    installed = device.run("mender", "ArtifactInstall", tree)
    assert (installed.returncode, installed.stderr) == (0, "")
    assert (device.runs().current, device.runs().previous) == (second.digest, first)
    for _ in range(2):  # a power cut after the first: Mender asks again
        back = device.run("mender", "ArtifactRollback", tree)
        assert (back.returncode, back.stderr) == (0, "")
        assert device.runs().current == first
    assert device.runs().reason_against(second.digest) is None
    assert device.run("mender", "ArtifactInstall", tree).returncode == 0, "it may be deployed again"
    assert device.runs().current == second.digest


def test_a_release_that_fails_its_trial_fails_the_artifact_and_nothing_is_rolled_back(
    carried: CarriedRepository, tree: Path
) -> None:
    device = carried.device
    assert device.run("install", carried.root).returncode == 0
    first = device.runs()
    bad = carried.offer(2, answers=np.zeros((8, 8), np.float32))
    artifact(tree, carried)
    failed = device.run("mender", "ArtifactInstall", tree)
    assert failed.returncode == 4 and "answers wrongly on this device" in failed.stderr
    assert device.run("mender", "ArtifactRollback", tree).returncode == 0
    assert (device.runs().current, device.runs().previous) == (first.current, first.previous)
    assert device.runs().reason_against(bad.digest) is not None


def test_an_artifact_that_is_there_already_changes_nothing(carried: CarriedRepository, tree: Path) -> None:
    device = carried.device
    assert device.run("install", carried.root).returncode == 0
    carried.offer(2)
    assert device.run("install", carried.root).returncode == 0
    before = device.runs()
    artifact(tree, carried)
    again = device.run("mender", "ArtifactInstall", tree)
    assert again.returncode == 0 and "runs already" in again.stdout
    assert device.run("mender", "ArtifactRollback", tree).returncode == 0
    assert device.runs() == before


def test_a_rollback_before_any_install_changes_nothing(carried: CarriedRepository, tree: Path) -> None:
    assert remembered(tree) == {}
    assert carried.device.run("mender", "ArtifactRollback", tree).returncode == 0
    assert carried.device.runs().current is None


def test_the_first_release_of_a_device_has_no_way_back_and_that_is_said(carried: CarriedRepository, tree: Path) -> None:
    assert carried.device.run("mender", "ArtifactInstall", tree).returncode == 0
    assert remembered(tree) == {MODEL: None}
    back = carried.device.run("mender", "ArtifactRollback", tree)
    assert back.returncode == 4 and "expected what ran before this artifact as the way back, got none" in back.stderr
    assert carried.device.runs().current is not None


def test_what_others_installed_since_is_not_rolled_back(carried: CarriedRepository, tree: Path) -> None:
    device = carried.device
    assert device.run("install", carried.root).returncode == 0
    carried.offer(2)
    assert device.run("mender", "ArtifactInstall", artifact(tree, carried)).returncode == 0
    third = carried.offer(3)
    assert device.run("install", carried.root).returncode == 0
    assert device.run("mender", "ArtifactRollback", tree).returncode == 4
    assert device.runs().current == third.digest


@pytest.mark.parametrize("content", ["", "[1]", '{"camera": 3}', "{"])
def test_a_damaged_record_rolls_nothing_back(carried: CarriedRepository, tree: Path, content: str) -> None:
    (tree / BEFORE).write_text(content)
    with pytest.raises(InstallError, match="nothing is rolled back"):
        remembered(tree)
    assert go_back(read_configuration(carried.device.configuration), {}) == []


def test_an_artifact_is_installed_where_the_state_was_lost(carried: CarriedRepository, tree: Path) -> None:
    device = carried.device
    assert device.run("install", carried.root).returncode == 0
    for path in (device.state / "models").iterdir():
        path.write_bytes(b"\0" * 100)
    status = device.run("status")
    assert status.returncode == 4 and "camera: nothing runs: " in status.stdout and "trust: root" in status.stdout
    assert device.run("mender", "ArtifactInstall", tree).returncode == 0
    assert device.runs().current is not None and device.run("status").returncode == 0

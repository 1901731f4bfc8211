"""Artifacts that `edgewright export --to mender` makes, installed by Debian's real client on a device."""

import io
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from flows.cli import app
from tests.edge_runtime.device.operated_device import OperatedDevice
from tests.edge_runtime.install.carried import DEVICE, MODEL
from tests.end_to_end.mender import TYPE, MenderClient, missing
from tests.tasks.delivery.export.offering import PASSPHRASES, Offering

pytestmark = [pytest.mark.end_to_end, pytest.mark.skipif(bool(missing()), reason=missing())]


class Fleet:
    """A place that offers releases, and one device that has Mender and Edgewright's update module."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.offering = Offering(folder / "place").begin()
        self.device = OperatedDevice(folder / "device", (self.offering.keys / "root.json").read_bytes())
        self.mender = MenderClient(folder / "mender")
        said = self.device.run("setup", "mender", "--root", folder / "image")
        assert said.returncode == 0, said.stderr
        self.mender.prepare(folder / "image" / "usr/share/mender/modules/v3/edgewright")

    def artifact(self, name: str) -> Path:
        """Export what is offered now, by the command line."""
        path = self.folder / name
        words = ("export", MODEL, str(path), "--device", DEVICE, "--to", "mender", "--device-type", TYPE)
        said = CliRunner().invoke(app, words)
        assert said.exit_code == 0, said.output
        return path

    def deploy(self, name: str) -> str:
        """Export, install and commit what is offered now; return the digest of what runs."""
        installed = self.mender.run("install", self.artifact(name))
        assert installed.returncode == 0, installed.stderr
        assert self.mender.run("commit").returncode == 0
        digest = self.device.runs().current
        assert digest is not None
        return digest


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    for name, value in PASSPHRASES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("EDGEWRIGHT_KEYS", raising=False)
    monkeypatch.setenv("EDGEWRIGHT_HOME", str(tmp_path / "place"))
    monkeypatch.setenv("EDGEWRIGHT_TARGET", str(tmp_path / "place" / "target"))
    return Fleet(tmp_path)


def test_an_artifact_is_installed_and_committed(fleet: Fleet) -> None:
    first = fleet.offering.offer(1)
    assert fleet.deploy("first.mender") == first.digest
    told = fleet.mender.provides()
    assert told["artifact_name"] == "camera-gateway-1" and told["edgewright.camera.version"] == "1"
    second = fleet.offering.offer(2)
    assert fleet.deploy("second.mender") == second.digest
    assert fleet.device.runs().previous == first.digest
    assert fleet.mender.provides()["edgewright.camera.version"] == "2"


def test_a_rollback_brings_back_what_ran_and_the_artifact_may_come_again(fleet: Fleet) -> None:
    first = fleet.offering.offer(1)
    fleet.deploy("first.mender")
    second = fleet.offering.offer(2)
    artifact = fleet.artifact("second.mender")
    assert fleet.mender.run("install", artifact).returncode == 0
    assert fleet.device.runs().current == second.digest
    back = fleet.mender.run("rollback")
    assert back.returncode == 0, back.stderr
    assert fleet.device.runs().current == first.digest
    assert fleet.mender.provides()["artifact_name"] == "camera-gateway-1"
    assert fleet.mender.run("install", artifact).returncode == 0
    assert fleet.mender.run("commit").returncode == 0
    assert fleet.device.runs().current == second.digest


def test_a_release_that_fails_its_trial_fails_the_artifact_and_the_old_one_runs(fleet: Fleet) -> None:
    first = fleet.offering.offer(1)
    fleet.deploy("first.mender")
    before = fleet.device.runs()
    bad = fleet.offering.offer(2, answers=np.zeros((8, 8), np.float32))
    failed = fleet.mender.run("install", fleet.artifact("bad.mender"))
    assert failed.returncode != 0 and "answers wrongly on this device" in failed.stderr
    after = fleet.device.runs()
    assert (after.current, after.previous) == (first.digest, before.previous)
    assert after.reason_against(bad.digest) is not None
    assert fleet.mender.run("commit").returncode == 2, "there is nothing to commit"
    assert fleet.mender.provides()["artifact_name"] == "camera-gateway-1"


def test_a_payload_that_was_changed_after_the_signature_is_refused(fleet: Fleet) -> None:
    first = fleet.offering.offer(1)
    fleet.deploy("first.mender")
    fleet.offering.offer(2)
    fleet.artifact("second.mender")
    changed = repacked(fleet, "second.mender", "changed.mender")
    refused = fleet.mender.run("install", changed)
    assert refused.returncode != 0 and "it is damaged" in refused.stderr
    assert fleet.device.runs().current == first.digest
    assert fleet.device.runs().refused == (), "what was tampered with on the way says nothing about the release"
    assert fleet.mender.run("install", fleet.folder / "second.mender").returncode == 0


def test_metadata_of_somebody_else_are_refused_whatever_mender_says(fleet: Fleet) -> None:
    first = fleet.offering.offer(1)
    fleet.deploy("first.mender")
    strange = Offering(fleet.folder / "strange").begin()
    strange.offer(2)
    fleet.offering = strange
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEWRIGHT_TARGET", str(strange.target))
        patch.setenv("EDGEWRIGHT_KEYS", str(strange.keys))
        artifact = fleet.artifact("strange.mender")
    refused = fleet.mender.run("install", artifact)
    assert refused.returncode != 0 and "must be signed by enough keys that its role has now" in refused.stderr
    assert fleet.device.runs().current == first.digest


def test_an_older_artifact_does_not_bring_an_older_release_back(fleet: Fleet) -> None:
    fleet.offering.offer(1)
    older = fleet.artifact("first.mender")
    second = fleet.offering.offer(2)
    fleet.deploy("second.mender")
    refused = fleet.mender.run("install", older)
    assert refused.returncode != 0 and "never older than what this device has verified" in refused.stderr
    assert fleet.device.runs().current == second.digest


def repacked(fleet: Fleet, source: str, target: str) -> Path:
    """Return an artifact whose payload has one byte of a blob changed, with checksums of Mender that fit."""
    scratch = fleet.folder / "scratch"
    scratch.mkdir()
    for archive in (fleet.folder / source, scratch / "data" / "0000.tar.gz"):
        with tarfile.open(archive) as opened:
            opened.extractall(scratch, filter="data")
    payload, flipped = scratch / "payload.tar", False
    with tarfile.open(payload) as opened, tarfile.open(scratch / "new.tar", "w") as written:
        for member in opened:
            content = bytearray(opened.extractfile(member).read())  # type: ignore[union-attr]  # all are files
            if member.name.startswith("blobs/") and not flipped:
                content[-1] ^= 1
                flipped = True
            written.addfile(member, io.BytesIO(content))
    assert flipped
    (scratch / "new.tar").replace(payload)
    subprocess.run(
        ["mender-artifact", "write", "module-image", "-T", "edgewright", "-n", "changed", "-t", TYPE, "-f", payload,
         "-o", fleet.folder / target],
        capture_output=True, timeout=120, check=True,
    )  # fmt: skip
    return fleet.folder / target

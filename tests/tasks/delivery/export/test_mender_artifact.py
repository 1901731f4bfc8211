"""Artifacts of Mender, made and read by its own program."""

import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from tasks.delivery.export import Exported, FormOptions, export_release, form_of
from tasks.errors import SystemFailure
from tests.edge_runtime.device.operated_device import OperatedDevice
from tests.edge_runtime.install.carried import DEVICE, MODEL
from tests.tasks.delivery.export.offering import Offering

needs_program = pytest.mark.skipif(
    shutil.which("mender-artifact") is None, reason="NOT TESTED: apt-get install mender-artifact"
)


def export(offering: Offering, out: Path, name: str | None = None) -> Exported:
    return export_release(
        offering.repository(), MODEL, DEVICE, form_of("mender", FormOptions(("pi4", "pi5"), name)), out
    )


@needs_program
def test_the_artifact_names_module_devices_and_release(offering: Offering, tmp_path: Path) -> None:
    made = export(offering, tmp_path / "a.mender")
    read = subprocess.run(["mender-artifact", "read", made.path], capture_output=True, text=True, check=True).stdout
    for said in ("Name: camera-gateway-1\n", "[pi4 pi5]", "Type:   edgewright\n", "edgewright.camera.version: 1\n"):
        assert said in read
    named = export(offering, tmp_path / "b.mender", "mine")
    read = subprocess.run(["mender-artifact", "read", named.path], capture_output=True, text=True, check=True).stdout
    assert "Name: mine\n" in read


@needs_program
def test_the_payload_is_a_tar_that_devices_install(offering: Offering, device: OperatedDevice, tmp_path: Path) -> None:
    payloads = []
    for name in ("a", "b"):
        made = export(offering, tmp_path / f"{name}.mender")
        with tarfile.open(made.path) as artifact:
            artifact.extractall(tmp_path / name, filter="data")
        with tarfile.open(tmp_path / name / "data" / "0000.tar.gz") as data:
            data.extractall(tmp_path / name, filter="data")
        payloads.append((tmp_path / name / "payload.tar").read_bytes())
    assert payloads[0] == payloads[1]
    said = device.run("install", tmp_path / "a" / "payload.tar")
    assert (said.returncode, said.stderr) == (0, "")


def test_without_the_program_nothing_is_fetched_and_its_package_is_named(
    offering: Offering, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    shutil.rmtree(offering.target / "blobs")
    with pytest.raises(SystemFailure, match="expected this program of Mender, got none; apt-get install mender-art"):
        export(offering, tmp_path / "a.mender")


def test_a_program_that_fails_leaves_nothing_and_is_quoted(
    offering: Offering, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "mender-artifact"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho no room for it >&2\nexit 9\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    with pytest.raises(SystemFailure, match="mender-artifact write: expected an artifact, got exit code 9: no room"):
        export(offering, tmp_path / "a.mender")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin", "place"]

"""The whole way of a version: keys, compression, publication, and a device that installs, updates and goes back."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from securesystemslib.dsse import Envelope
from securesystemslib.signer import Key
from tuf.api.metadata import Metadata, Targets
from typer.testing import CliRunner

import flows.cli
import flows.compress
from edge_runtime.bundle import Bundle, check_blob
from edge_runtime.install import DeviceStore, ModelState, statuses
from edge_runtime.session import EdgeModel
from edge_runtime.update import UpdateExit
from flows.exit_codes import FAILED, ending_of
from tasks.errors import KeysError
from tasks.registry import EdgeModels, EdgeVersion, Runs
from tasks.workspace import Workspace
from tests.edge_runtime.homes import environment
from tests.end_to_end.tiny import upstream
from tests.end_to_end.tiny.workload import Tiny
from tests.flows.conftest import Variant
from tests.tasks.delivery.devices import PERSONS, WORKER, serving

pytestmark = pytest.mark.timeout(1200)  # each test compresses several versions
runner = CliRunner()
ROWS = Tiny().split("calibration").inputs[0]


@dataclass(frozen=True)
class FieldDevice:
    """A device with a folder of its own, which knows the root, a URL and nothing else of the pipeline."""

    folder: Path
    name: str

    def configure(self, root: Path, url: str) -> None:
        (self.folder / "home").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root, self.folder / "root.json")
        self.configuration.write_text(
            f'device = "{self.name}"\nmodels = ["tiny"]\nurl = "{url}"\nstate = "{self.state}"\n'
            f'root = "{self.folder / "root.json"}"\n[network]\nproxy = ""\n[trial]\nmemory_mb = 2048\ntime_s = 240\n'
        )

    @property
    def configuration(self) -> Path:
        return self.folder / "device.toml"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def run(self, command: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command of the runtime, as on a machine that has nothing else."""
        return subprocess.run(
            [sys.executable, "-P", "-m", "edge_runtime", command, *words], env=environment(self.folder / "home"),
            capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip

    def operate(self, command: str, *words: str | Path) -> int:
        """Run one of the commands that take the device's configuration; return its exit code."""
        ended = self.run(command, "--config", self.configuration, *words)
        assert "Traceback" not in ended.stderr, ended.stderr
        return ended.returncode

    def status(self) -> str:
        return self.run("status", "--config", self.configuration).stdout

    def runs(self) -> Bundle | None:
        """Return the bundle that runs; None where none does."""
        found = {status.model: status for status in statuses(DeviceStore(self.state, self.name))}
        return found["tiny"].current if "tiny" in found else None

    def held(self) -> ModelState:
        (status,) = statuses(DeviceStore(self.state, self.name))
        return status.state

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Run the installed bundle in a process, as `python -m edge_runtime predict` does."""
        bundle = self.runs()
        assert bundle is not None
        np.save(self.folder / "rows.npy", rows)
        ended = self.run("predict", bundle.path, self.folder / "rows.npy", "--output", self.folder / "answers.npy")
        assert ended.returncode == 0, ended.stderr
        answers: np.ndarray = np.load(self.folder / "answers.npy")
        return answers


def say(*words: str | Path) -> str:
    """Say a command of edgewright; return what it prints."""
    said = runner.invoke(flows.cli.app, [str(word) for word in words])
    assert said.exit_code == 0, f"{said.output} {said.exception!r}"
    return said.output


@pytest.fixture
def begin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Workspace, str], None]:
    """Make the keys of a workspace and of a device, as an operator does on its first day."""

    def made(workspace: Workspace, device: str) -> None:
        for name, value in {
            "EDGEWRIGHT_HOME": str(workspace.home), "EDGEWRIGHT_TARGET": str(workspace.target),
            "MLFLOW_TRACKING_URI": workspace.tracking_uri, "EDGEWRIGHT_KEYS_PASSPHRASE": WORKER,
            "EDGEWRIGHT_OFFLINE_KEYS_PASSPHRASE": PERSONS,
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        offline = tmp_path / "offline"
        say("keys", "init", "--offline", offline)
        say("keys", "add", device, "--with", offline / "holder-1", "--with", offline / "holder-3")

    return made


def deployed(workspace: Workspace, device: str) -> EdgeVersion:
    edge = EdgeModels(workspace.tracking_uri, "tiny").deployed(device)
    assert edge is not None
    return edge


def answers_of_mlflow(workspace: Workspace, device: FieldDevice, folder: Path) -> np.ndarray:
    """Return what the model answers that MLflow keeps of the deployed release, with the session of its manifest."""
    edge, bundle = deployed(workspace, device.name), device.runs()
    assert bundle is not None and str(edge.release) == bundle.manifest.release
    file = EdgeModels(workspace.tracking_uri, "tiny").fetch(edge, folder)
    (spec,) = bundle.manifest.inputs
    (answers,) = EdgeModel.load(file, bundle.manifest.session).predict({spec.name: ROWS})
    return answers


def key_of(target: Path, role: str) -> Key:
    """Return the public key that the newest targets name for a device's role."""
    newest = max((target / "metadata").glob("*.targets.json"), key=lambda path: int(path.name.partition(".")[0]))
    targets = Metadata[Targets].from_file(str(newest)).signed
    (keyid,) = targets.get_delegated_role(role).keyids
    return targets.get_key(keyid)


def check_complete(bundle: Bundle, target: Path, device: str) -> None:
    """Look for everything that a bundle is to say and to have beside it, at the place that it was published to."""
    manifest = bundle.manifest
    for blob in manifest.files:
        check_blob(target / "blobs" / blob.sha256, blob)
    assert manifest.golden is not None and manifest.golden.rows == 8
    assert {spread.name for spread in manifest.spreads} == {spec.name for spec in (*manifest.inputs, *manifest.outputs)}
    assert {"peak_rss_mb", "latency_p50_ms", "size_bytes"} <= set(manifest.measured.figures)
    assert list(manifest.measured.batch_ms) == ["1", "4"]
    papers = {blob.name: (target / "blobs" / blob.sha256).read_bytes() for blob in manifest.documents}
    assert set(papers) == {"sbom.cdx.json", "attestation.json", "attestation.intoto.jsonl"}
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(papers["sbom.cdx.json"].decode()) is None
    envelope = Envelope.from_dict(json.loads(papers["attestation.intoto.jsonl"]))
    envelope.verify([key_of(target, f"device-{device}")], 1)
    assert envelope.payload == papers["attestation.json"]
    graph = manifest.blob(manifest.entry).sha256
    assert {"sha256": graph} in [subject["digest"] for subject in json.loads(envelope.payload)["subject"]]


def test_versions_come_to_a_device_as_updates_and_a_rollback_does_too(
    tmp_path: Path, variant: Variant, begin: Callable[[Workspace, str], None]
) -> None:
    workspace, device = Workspace.at(tmp_path / "home"), FieldDevice(tmp_path / "device", "field")
    begin(workspace, "field")
    recipe = variant("field", device={"max_batch": 4})
    with serving(workspace.target) as (url, _):
        device.configure(workspace.home / "keys" / "root.json", url)
        upstream.register(workspace.tracking_uri, seed=0)
        assert flows.compress.compress("tiny", "1", recipe, workspace).answer == "published"
        stick = shutil.copytree(workspace.target, tmp_path / "stick")
        assert device.operate("install", stick) == UpdateExit.DONE
        first = device.runs()
        assert first is not None and (first.manifest.release, first.manifest.version) == ("1", "1")
        check_complete(first, workspace.target, "field")
        expected = answers_of_mlflow(workspace, device, tmp_path / "kept-1")
        np.testing.assert_array_equal(device.predict(ROWS), expected)

        upstream.register(workspace.tracking_uri, seed=1)
        assert flows.compress.compress("tiny", "2", recipe, workspace).answer == "published"
        assert device.operate("update") == UpdateExit.DONE
        second = device.runs()
        assert second is not None and (second.manifest.release, second.manifest.version) == ("2", "2")
        check_complete(second, workspace.target, "field")
        newer = answers_of_mlflow(workspace, device, tmp_path / "kept-2")
        np.testing.assert_array_equal(device.predict(ROWS), newer)
        assert not np.array_equal(expected, newer)

        say("rollback", "tiny", "--device", "field", "--by", "Ada", "--reason", "it fails at night")
        assert device.operate("update") == UpdateExit.DONE
        third = device.runs()
        assert third is not None and (third.manifest.release, third.manifest.version) == ("3", "1")
        assert third.manifest.lineage["rolled_back_by"] == "Ada"
        np.testing.assert_array_equal(device.predict(ROWS), expected)
        assert "tiny: runs release 3, version 1" in device.status()
        assert device.held().previous == second.digest


def test_what_fails_its_gates_is_never_offered_and_a_persons_approval_is(
    world: Workspace, tmp_path: Path, variant: Variant, begin: Callable[[Workspace, str], None]
) -> None:
    workspace = Workspace.at(tmp_path / "home", world.tracking_uri)
    device = FieldDevice(tmp_path / "device", "strict")
    begin(workspace, "strict")
    with serving(workspace.target) as (url, traffic):
        device.configure(workspace.home / "keys" / "root.json", url)
        recipe = variant("strict", device={"max_batch": 4, "budgets": {"size_kb": 2}})
        outcome = flows.compress.compress("tiny", "1", recipe, workspace)
        assert outcome.answer == "refused"
        assert device.operate("update") == UpdateExit.REFUSED
        assert device.runs() is None and not any(path.startswith("/blobs/") for path in traffic.asked)

        by = ("--name", "Ada Lovelace", "--reason", "The press stands still.", "--until", "2999-01-01")
        say("approve", "tiny/1", "--device", "strict", *by)
        assert device.operate("update") == UpdateExit.DONE
        bundle = device.runs()
        assert bundle is not None and bundle.manifest.lineage["verdict"] == "overridden"
        assert bundle.manifest.approval["approved_by"] == "Ada Lovelace"
        check_complete(bundle, workspace.target, "strict")
        assert "overridden: Ada Lovelace until 2999-01-01" in device.run("verify", bundle.path).stdout


def test_without_its_key_nothing_is_trained_and_the_version_is_asked_again(
    world: Workspace, tmp_path: Path, variant: Variant, begin: Callable[[Workspace, str], None]
) -> None:
    workspace = Workspace.at(tmp_path / "home", world.tracking_uri)
    begin(workspace, "keyless")
    (key,) = (workspace.home / "keys").glob("device-keyless-*")
    key.unlink()
    runs = Runs(workspace.tracking_uri, "tiny")
    before = len(runs.client.search_runs([runs.experiment]))
    with pytest.raises(KeysError, match="device-keyless: expected 1 of the keys") as caught:
        flows.compress.compress("tiny", "1", variant("keyless"), workspace)
    assert len(runs.client.search_runs([runs.experiment])) == before
    assert not (workspace.target / "targets").exists()
    assert ending_of(caught.value, workspace.home).code == FAILED

"""New versions of one member: its head alone is compressed and sent, while the backbone is that of the release before."""

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import flows.compress
from edge_runtime.backbone import load_model
from edge_runtime.bundle import Manifest, read_bundle
from edge_runtime.model_files import MODEL, head_file, heads_of
from edge_runtime.settings import SessionSettings
from quality_gates.report import ReportContent
from tasks.families import compose
from tasks.outcomes import Outcome
from tasks.registry import EdgeModels, Runs
from tasks.workspace import Workspace
from tests.end_to_end.tiny.family import FAMILY, new_members, register_member, write_family
from tests.end_to_end.tiny.workload import Tiny
from tests.tasks.delivery.devices import PERSONS, WORKER, begin
from tests.tasks.joined import TASKS, Headed

pytestmark = pytest.mark.timeout(2400)
ROWS = Tiny().split("test").inputs[0][:50]


class Family:
    """A family whose members get new versions; each is composed and compressed."""

    def __init__(self, workspace: Workspace, folder: Path) -> None:
        self.workspace, self.folder = workspace, folder
        self.recipe = Path(write_family(folder, budgets={"size_kb": 22}))
        self.runs = Runs(workspace.tracking_uri, FAMILY)

    def compress(self) -> Outcome:
        composed = compose(self.recipe, self.workspace)
        return flows.compress.compress(FAMILY, composed.version, str(self.recipe), self.workspace)

    def reasons(self, outcome: Outcome) -> str:
        (device,) = outcome.devices
        return " ".join(ReportContent.model_validate_json(self.runs.read_text(device.run_id, "report.json")).why)

    def manifest(self, release: int) -> Manifest:
        (path,) = self.workspace.published.rglob(f"*{release}*/manifest.json")
        return read_bundle(path).manifest

    def blobs(self, release: int) -> dict[str, str]:
        """The sha256 of each graph and file of weights of a release, by its name in the bundle."""
        return {blob.name: blob.sha256 for blob in self.manifest(release).blobs}

    def answers(self, name: str) -> dict[str, np.ndarray]:
        """The answers of what is deployed, by task."""
        models = EdgeModels(self.workspace.tracking_uri, FAMILY)
        edge = models.deployed("family")
        assert edge is not None
        file = models.fetch(edge, self.folder / name)
        found = load_model(file, SessionSettings(threads=1), heads_of(file)).predict({"image": ROWS})
        return dict(zip(TASKS, found, strict=True))


@pytest.fixture
def family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Family:
    monkeypatch.setenv("EDGEWRIGHT_KEYS_PASSPHRASE", WORKER)
    monkeypatch.setenv("EDGEWRIGHT_OFFLINE_KEYS_PASSPHRASE", PERSONS)
    workspace = Workspace.at(tmp_path / "home")
    begin(workspace, ("family",))
    return Family(workspace, tmp_path)


def test_updates(family: Family) -> None:
    members = new_members()
    for name, member in members.items():
        register_member(family.workspace, name, member)
    outcome = family.compress()
    print(family.reasons(outcome))
    print(outcome)
    for path in sorted(family.workspace.published.rglob("*")):
        print(path)

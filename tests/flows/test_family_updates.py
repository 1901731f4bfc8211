"""New versions of one member: its head alone is made and sent; the backbone is that of the release before."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import flows.compress
from edge_runtime.bundle import Manifest, read_bundle
from edge_runtime.device import agent_of
from edge_runtime.device.joined import store_of
from edge_runtime.serving import Runtime
from edge_runtime.serving.model_sources import StoreSource
from edge_runtime.update import UpdateExit
from quality_gates.report import ReportContent
from tasks.families import compose
from tasks.registry import Runs
from tasks.workspace import Workspace
from tests.end_to_end.tiny.family import FAMILY, GATE, new_members, register_member, write_family
from tests.end_to_end.tiny.workload import Tiny
from tests.model_compression.families.members import Headed
from tests.tasks.delivery.devices import PERSONS, WORKER, begin, configured, serving

pytestmark = pytest.mark.timeout(2400)
ROWS = Tiny().split("test").inputs[0][:50]
AGAINST_DEPLOYED = {**GATE, "name": "no worse than deployed", "against": "deployed"}


class Family:
    """A family whose members get new versions; each is composed and compressed, and a device updates itself."""

    def __init__(self, workspace: Workspace, folder: Path) -> None:
        self.workspace, self.folder = workspace, folder
        self.recipe = Path(write_family(folder, gates=(GATE, AGAINST_DEPLOYED), budgets={"size_kb": 18}, max_batch=4))
        self.runs = Runs(workspace.tracking_uri, FAMILY)

    def publish(self, release: int, members: dict[str, Headed]) -> str:
        """Register members, compress the family of the newest ones, and return why its file was chosen."""
        for name, member in members.items():
            register_member(self.workspace, name, member)
        composed = compose(self.recipe, self.workspace)
        assert composed.version == str(release)
        outcome = flows.compress.compress(FAMILY, composed.version, str(self.recipe), self.workspace)
        assert outcome.answer == "published", outcome
        (device,) = outcome.devices
        assert device.release == release
        return " ".join(ReportContent.model_validate_json(self.runs.read_text(device.run_id, "report.json")).why)

    def blobs(self, release: int) -> dict[str, str]:
        """The sha256 of each file of a release's model, by its name in the bundle."""
        found = {blob.name: blob.sha256 for blob in self.manifest(release).blobs}
        del found["golden.npz"]
        return found

    def manifest(self, release: int) -> Manifest:
        paths = (Path(self.workspace.published) / "targets").rglob("*.manifest.json")
        return next(each for each in map(_manifest, paths) if each.lineage["release"] == str(release))

    def served(self, url: str) -> dict[str, np.ndarray]:
        """Update a device and ask what it serves."""
        configuration = configured(self.workspace, self.folder / "device", url, FAMILY, "family")
        assert agent_of(configuration).run() is UpdateExit.DONE
        with Runtime([StoreSource(store_of(configuration), FAMILY)]) as runtime:
            return dict(runtime.predict(FAMILY, {"image": ROWS}))


def _manifest(path: Path) -> Manifest:
    return read_bundle(path).manifest


@pytest.fixture
def family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Family:
    monkeypatch.setenv("EDGEWRIGHT_KEYS_PASSPHRASE", WORKER)
    monkeypatch.setenv("EDGEWRIGHT_OFFLINE_KEYS_PASSPHRASE", PERSONS)
    workspace = Workspace.at(tmp_path / "home")
    begin(workspace, ("family",))
    return Family(workspace, tmp_path)


def moved(member: Headed, part: str, by: float = 0.01) -> Headed:
    """Return a member as a further training leaves it: all weights of a part moved a little."""
    made = copy.deepcopy(member)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in made.get_submodule(part).parameters():
            weight.add_(by * torch.randn(weight.shape, generator=generator))
    return made


def ruined(member: Headed) -> Headed:
    """Return a member whose head says odd where it means even."""
    made = copy.deepcopy(member)
    layer = next(each for each in made.head.modules() if isinstance(each, nn.Linear))
    with torch.no_grad():
        layer.weight.copy_(layer.weight.flip(0))
        layer.bias.copy_(layer.bias.flip(0))
    return made


def test_a_new_head_is_all_that_is_made_and_sent(family: Family) -> None:
    members = new_members()
    with serving(family.workspace.target) as (url, _):
        assert "The whole family was compressed: nothing is deployed on family yet." in family.publish(1, members)
        first, was = family.blobs(1), family.served(url)

        said = family.publish(2, {"odd": moved(members["odd"], "head")})
        assert "Only the head of odd is new: the backbone and the other heads are those of release 1, byte" in said
        second, now = family.blobs(2), family.served(url)
        assert {name for name in second if second[name] != first.get(name)} == {"head.odd.onnx"}
        np.testing.assert_array_equal(now["digit"], was["digit"])
        assert np.abs(now["odd"] - was["odd"]).max() > 0

        said = family.publish(3, {"odd": ruined(members["odd"])})
        assert "The former head of odd, of release 2, stays, as with the new one PTQ minmax misses odd: no" in said
        assert family.blobs(3) == second

        said = family.publish(4, {name: moved(member, "trunk") for name, member in members.items()})
        assert "The whole family was compressed: version 4 has another backbone than release 3." in said
        assert family.blobs(4)["model.onnx"] != first["model.onnx"]

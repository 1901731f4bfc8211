"""A bucket as the place that is published to: signed there, and read by devices over HTTP as any server gives it."""

from pathlib import Path

import numpy as np
import pytest

from edge_runtime.device import agent_of
from edge_runtime.device.joined import store_of
from edge_runtime.install import running
from edge_runtime.update import UpdateExit
from tasks.delivery import FolderDestination, recover
from tasks.delivery.offers import Offers
from tasks.delivery.publication import put_in_place
from tasks.registry import ANSWERS
from tasks.workspace import Workspace
from tests.edge_runtime.models import linear_model
from tests.tasks.delivery.conftest import BucketServer
from tests.tasks.delivery.counter import Counter
from tests.tasks.delivery.devices import acceptance, begin, configured
from tests.tasks.tiny import FEATURES, job

ROWS = np.random.default_rng(5).standard_normal((4, FEATURES), dtype=np.float32)


@pytest.fixture
def workspace(bucket: BucketServer, tmp_path: Path, tracking_uri: str) -> Workspace:
    return Workspace.at(tmp_path / "home", tracking_uri, f"{bucket.address}/{tmp_path.name}")


@pytest.fixture
def counter(workspace: Workspace, tmp_path: Path, request: pytest.FixtureRequest) -> Counter:
    begin(workspace)
    name = str(request.node.name).replace("_", "-")
    return Counter(job(workspace, name, "1"), linear_model(tmp_path / "v1.onnx", FEATURES))


def publish(counter: Counter) -> None:
    folder = counter.file.parent / f"accepted-{counter.job.version}"
    tags = {**counter.publication().tags, ANSWERS: "avx512"}  # another CPU than the profile's: any may run it
    counter.publish(acceptance=acceptance(counter.file, folder, ROWS), tags=tags)


def test_devices_update_from_a_bucket_over_http(counter: Counter, bucket: BucketServer, tmp_path: Path) -> None:
    workspace, model = counter.job.workspace, counter.job.model
    configuration = configured(workspace, tmp_path / "device", f"{bucket.url}/{tmp_path.name}", model)
    assert agent_of(configuration).run() is not UpdateExit.DONE  # nothing is offered yet
    for number, version in enumerate((counter, counter.other("2")), start=1):
        publish(version)
        agent = agent_of(configuration)
        assert agent.run() is UpdateExit.DONE
        bundle = running(store_of(configuration), model).bundle
        assert (bundle.manifest.release, bundle.manifest.version) == (str(number), version.job.version)
        assert bundle.entry_path.read_bytes() == version.file.read_bytes()
    assert not workspace.target.exists()


def test_what_was_killed_before_it_was_signed_is_completed_in_a_bucket(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    publication, fired = counter.publication(), list[str]()

    def killed(*_: object) -> None:
        fired.append("killed")
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(Offers, "offer", killed)
        with pytest.raises(KeyboardInterrupt):
            put_in_place(counter.job.workspace, counter.context.device, publication)
    assert fired and counter.deployed() is None
    recover(counter.context)
    deployed = counter.deployed()
    assert deployed is not None and deployed.release == 1
    assert counter.destination.holds(counter.job.model, "bench", 1)
    assert not isinstance(counter.destination, FolderDestination)

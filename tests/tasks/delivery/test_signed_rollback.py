"""Rollback where devices take signed releases: the file of then comes as a newer release, or nothing is changed."""

from pathlib import Path

import pytest

from tasks.delivery import roll_back
from tasks.errors import KeysError
from tasks.registry import EdgeModels
from tasks.repository import keys_folder
from tests.edge_runtime.models import linear_model
from tests.tasks.delivery.counter import Counter
from tests.tasks.delivery.devices import Reader, signed_releases
from tests.tasks.tiny import FEATURES, job


@pytest.fixture
def two(reader: Reader, tmp_path: Path, request: pytest.FixtureRequest) -> Counter:
    """A model of which versions 1 and 2 are releases 1 and 2, both offered one after the other."""
    workspace, name = reader.workspace, str(request.node.name)
    client = EdgeModels(workspace.tracking_uri, name).client
    client.create_registered_model(name)
    client.create_model_version(name, "/nowhere")
    first = Counter(job(workspace, name, "1"), linear_model(tmp_path / "v1.onnx", FEATURES, 11))
    for counter in (first, first.other("2")):
        counter.keep_records()
        counter.publish()
    return first


def back(two: Counter) -> int:
    by = {"by": "Ada", "reason": "it fails at night"}
    return roll_back(two.job.workspace, two.job.model, "bench", to=None, **by).release


def test_devices_are_offered_the_file_of_then_as_a_newer_release(reader: Reader, two: Counter) -> None:
    model = two.job.model
    left = reader.manifest(model)
    assert back(two) == 3
    offered = reader.manifest(model)
    assert left is not None and offered is not None
    assert (left.release, offered.release, offered.version) == ("2", "3", "1")
    assert offered.blob("model.onnx").sha256 == two.candidate.file_sha256 != left.blob("model.onnx").sha256
    assert offered.deltas == ()  # devices have kept the file, and nobody waits for deltas
    assert signed_releases(reader.workspace, model)[-1] == 3


def test_a_rollback_that_cannot_be_signed_holds_nothing(reader: Reader, two: Counter) -> None:
    (key,) = keys_folder(reader.workspace.home).glob("device-bench-*")
    hidden = key.rename(key.with_suffix(".away"))
    with pytest.raises(KeysError, match="device-bench: expected 1 of the keys"):
        back(two)
    assert not two.models.holds("bench")
    assert reader.release(two.job.model) == 2
    hidden.rename(key)
    assert back(two) == reader.release(two.job.model) == 3

"""Acceptance data that are kept with a run: each bundle of the file has them, whenever it is published."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime.bundle import Bundle, Manifest, Validity, read_bundle
from tasks.delivery import roll_back
from tasks.errors import RegistryError
from tasks.measurement import GOLDEN
from tasks.registry import ANSWERS
from tasks.workspace import Workspace
from tests.edge_runtime.models import linear_model
from tests.tasks.delivery.counter import Counter, acceptance, kept_folders, register
from tests.tasks.tiny import FEATURES, job

ADA: dict[str, Any] = {"by": "Ada", "reason": "it fails at night"}


@pytest.fixture
def legacy(workspace: Workspace, tmp_path: Path, request: pytest.FixtureRequest) -> Counter:
    """A candidate that an older release of Edgewright has judged."""
    name = str(request.node.name).replace("[", "-").rstrip("]")
    register(workspace, name)
    return Counter(job(workspace, name, "1"), linear_model(tmp_path / "v1.onnx", FEATURES, 11))


@pytest.fixture
def counter(legacy: Counter) -> Counter:
    """The same with acceptance data."""
    return Counter(legacy.job, legacy.file, acceptance(legacy.file))


def publish(counter: Counter, **changes: Any) -> Counter:
    counter.keep_records()
    counter.publish(**changes)
    return counter


def bundle(counter: Counter, release: int) -> Bundle:
    found = map(read_bundle, counter.bundles())
    return next(each for each in found if each.manifest.release == str(release))


def back(counter: Counter) -> Manifest:
    edge = roll_back(counter.job.workspace, counter.job.model, "bench", to=None, **ADA)
    return bundle(counter, edge.release).manifest


def trial_of(manifest: Manifest) -> tuple[object, ...]:
    assert manifest.golden is not None
    return manifest.golden, manifest.blob(manifest.golden.blob), manifest.spreads, manifest.measured


def test_a_bundle_has_the_very_vectors_as_one_of_its_blobs(counter: Counter) -> None:
    counter.publish()
    found = bundle(counter, 1)
    accepted = counter.accepted
    assert accepted is not None
    assert found.blob_path(GOLDEN).read_bytes() == accepted.golden_file.read_bytes()
    assert (found.manifest.golden, found.manifest.spreads) == (accepted.golden, accepted.spreads)
    assert found.manifest.measured == accepted.measured
    with np.load(found.blob_path(GOLDEN)) as vectors:
        assert vectors["in.x"].shape == (3, FEATURES)


def test_a_rollback_takes_them_from_where_they_were_kept(counter: Counter) -> None:
    publish(counter)
    publish(counter.other("2"))
    before, left = bundle(counter, 1).manifest, bundle(counter, 2).manifest
    assert trial_of(back(counter)) == trial_of(before) != trial_of(left)


def test_a_file_that_was_lost_comes_from_its_bundle_with_them_and_they_are_kept_again(counter: Counter) -> None:
    publish(counter)
    publish(counter.other("2"))
    before = bundle(counter, 1).manifest
    assert kept_folders(counter, lose=True)
    assert trial_of(back(counter)) == trial_of(before)
    (folder,) = kept_folders(counter)
    assert {"golden.npz", "acceptance.json", "model.onnx"} <= {path.name for path in folder.iterdir()}
    bundle(counter, 3).path.unlink()
    publish(counter.other("3"))
    bundle(counter, 1).path.unlink()
    assert trial_of(back(counter)) == trial_of(before)  # of what was kept again


def test_a_run_of_an_older_release_gives_a_bundle_without_and_a_warning(legacy: Counter, warned: list[str]) -> None:
    publish(legacy)
    publish(legacy.other("2"))
    manifest = back(legacy)
    assert (manifest.golden, manifest.spreads, dict(manifest.measured.figures)) == (None, (), {})
    assert [blob.name for blob in manifest.blobs] == ["model.onnx"]
    (said,) = [each for each in warned if "acceptance" in each]
    assert said.startswith("no acceptance data were kept with this file, so devices will refuse its bundle")


def test_vectors_that_were_changed_since_are_not_published_and_nothing_is_held(counter: Counter) -> None:
    publish(counter)
    publish(counter.other("2"))
    (folder,) = kept_folders(counter)
    (folder / GOLDEN).write_bytes(b"others")
    with pytest.raises(RegistryError, match="expected the acceptance data that were kept with the file, got ValueErr"):
        back(counter)
    assert counter.models.holds("bench") == () and len(counter.bundles()) == 2


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ("avx2", Validity(("avx2",))),
        ("avx512_vnni, not the device's avx2", Validity((), elsewhere=True)),
        ("not answered", Validity((), elsewhere=True)),
        (None, Validity()),
    ],
    ids=["proven", "elsewhere", "unanswered", "unrecorded"],
)
def test_a_bundle_says_what_its_verdict_holds_for(counter: Counter, answers: str | None, expected: Validity) -> None:
    tags = {"edgewright.verdict": "pass"} | ({} if answers is None else {ANSWERS: answers})
    publish(counter, tags=tags)
    assert bundle(counter, 1).manifest.validity == expected

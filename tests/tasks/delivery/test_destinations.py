"""Destinations: one bundle for each content, and release numbers that only one holder can take.

Every destination passes the same tests; a new one is an entry in `DESTINATIONS`. Tests of the folder's own come last.
"""

import hashlib
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pytest

from edge_runtime.bundle import (
    BLOBS,
    Manifest,
    TensorSpec,
    blobs_of,
    decode_manifest,
    encode_manifest,
    read_bundle,
)
from edge_runtime.settings import SessionSettings
from tasks.delivery import Destination, FolderDestination
from tasks.delivery.claims import End
from tasks.delivery.destinations import destination_at
from tasks.measurement import Acceptance
from tasks.repository import open_store
from tests.edge_runtime.bundle.linear import described, everything
from tests.edge_runtime.models import linear_model

ORIGIN = {"source_version": "1", "run_key": "k"}
ADA = {"approved_by": "Ada", "approval_reason": "so", "approved_until": "2999-01-01", "approved_verdict": "v"}
APPROVED = ORIGIN | ADA | {"verdict": "overridden"}
BY_GRACE = APPROVED | {"approved_by": "Grace"}
TENSOR = (TensorSpec("x", "float32", (None, 3)),)


class FolderCase:
    """A folder, and a device that reads it; its files are damaged as disks and people do that."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self.root: Path = request.getfixturevalue("tmp_path") / "target"

    def make(self) -> Destination:
        return FolderDestination(self.root)

    def read(self, address: str) -> Manifest:
        return read_bundle(Path(address)).manifest

    def litter(self, address: str) -> None:
        (Path(address).parent / ".tmp-half").write_text("{")

    def spoil(self, data: bytes, spoilt: bytes) -> None:
        """Put other bytes in the place of a file's, whatever holds them."""
        (holder,) = (path for path in self.root.rglob("*") if path.is_file() and data in path.read_bytes())
        holder.chmod(0o644)
        holder.write_bytes(holder.read_bytes().replace(data, spoilt))


class BucketCase:
    """A bucket, and a device that reads it over HTTP, as any web server would give it; no key opens it."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        server, prefix = request.getfixturevalue("bucket"), request.getfixturevalue("tmp_path").name
        self.address, self.url = f"{server.address}/{prefix}", f"{server.url}/{prefix}"

    def make(self) -> Destination:
        return destination_at(self.address)

    def read(self, address: str) -> Manifest:
        data = self._get(address)
        manifest = decode_manifest(data)
        assert address.rpartition("/")[2] == f"{hashlib.sha256(data).hexdigest()}.manifest.json"
        for blob in manifest.files:
            assert hashlib.sha256(self._get(f"{BLOBS}/{blob.sha256}")).hexdigest() == blob.sha256
        return manifest

    def litter(self, address: str) -> None:
        assert open_store(self.address).create(f"{address.rpartition('/')[0]}/notes.txt", b"by hand")

    def spoil(self, data: bytes, spoilt: bytes) -> None:
        name = f"{BLOBS}/{hashlib.sha256(data).hexdigest()}"
        store = open_store(self.address)
        store.remove(name)
        assert store.create(name, spoilt)

    def _get(self, name: str) -> bytes:
        return httpx.get(f"{self.url}/{name}", trust_env=False, timeout=60).raise_for_status().content


Case: TypeAlias = FolderCase | BucketCase
"""One kind of destination: how it is made, how a device reads the bundle at an address, and how it is damaged."""
DESTINATIONS: dict[str, type[Case]] = {"folder": FolderCase, "bucket": BucketCase}


@pytest.fixture(params=sorted(DESTINATIONS))
def case(request: pytest.FixtureRequest) -> Case:
    return DESTINATIONS[request.param](request)


@pytest.fixture
def destination(case: Case) -> Destination:
    return case.make()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return linear_model(tmp_path / "model.onnx", 3)


def content(file: Path, lineage: dict[str, str] | None = None, **changes: Any) -> tuple[Manifest, dict[str, Path]]:
    given: dict[str, Any] = {"model": "m", "version": "1", "device": "bench", "inputs": TENSOR, "outputs": TENSOR}
    files = {"model.onnx": file}
    return described(files, **given | {"lineage": lineage or ORIGIN | {"verdict": "pass"}} | changes), files


def test_a_newer_approval_takes_the_place_of_the_older_one(case: Case, destination: Destination, file: Path) -> None:
    older = destination.write(*content(file, APPROVED))
    newer = destination.write(*content(file, BY_GRACE))
    assert destination.bundles("m", "bench") == sorted([older, newer])
    assert destination.supersede(newer) == [older]
    assert destination.bundles("m", "bench") == [newer]
    assert case.read(newer).approval["approved_by"] == "Grace"
    assert destination.supersede(newer) == []


def test_gates_that_hold_after_all_take_the_place_of_an_approval(destination: Destination, file: Path) -> None:
    older = destination.write(*content(file, APPROVED))
    newer = destination.write(*content(file, ORIGIN | {"verdict": "pass"}))
    assert destination.supersede(newer) == [older]


def test_what_differs_in_more_than_its_decision_is_another_release(
    destination: Destination, file: Path, tmp_path: Path
) -> None:
    other_file = linear_model(tmp_path / "other.onnx", 3, 5)
    kept = {
        destination.write(*content(file, APPROVED, version="2")),
        destination.write(*content(file, APPROVED | {"run_key": "of another recipe"})),
        destination.write(*content(file, APPROVED, session=SessionSettings(threads=2))),
        destination.write(*content(other_file, APPROVED)),
    }
    bundle = destination.write(*content(file, BY_GRACE))
    assert destination.supersede(bundle) == []
    assert set(destination.bundles("m", "bench")) == {bundle, *kept}


def test_the_model_of_a_release_is_fetched_from_its_bundle(
    destination: Destination, file: Path, tmp_path: Path
) -> None:
    destination.write(*content(file, ORIGIN | {"verdict": "pass", "release": "3"}))
    fetched = destination.fetch("m", "bench", 3, tmp_path / "fetched")
    assert fetched is not None and fetched.name == "model.onnx" and fetched.read_bytes() == file.read_bytes()
    assert destination.fetch("m", "bench", 5, tmp_path / "none") is None


def test_whole_bundles_of_one_device_are_listed(case: Case, destination: Destination, file: Path) -> None:
    assert destination.bundles("m", "bench") == []
    first = destination.write(*content(file))
    second = destination.write(*content(file, version="2"))
    destination.write(*content(file, device="other"))
    case.litter(first)
    destination.claim("m", "bench", 1, "k")
    assert destination.bundles("m", "bench") == sorted([first, second])
    assert destination.write(*content(file)) == first
    assert case.read(second).version == "2"


def test_a_release_number_is_taken_once_and_stays_its_holders(destination: Destination) -> None:
    assert destination.claim("m", "bench", 1, "ada")
    assert not destination.claim("m", "bench", 1, "grace")
    assert destination.claim("m", "bench", 1, "ada")
    assert destination.claim("m", "bench", 2, "grace")
    assert destination.claim("m", "other", 1, "grace")


def test_a_claim_that_was_killed_leaves_the_number_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    destination = FolderDestination(tmp_path)
    with monkeypatch.context() as broken:
        broken.setattr("os.link", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            destination.claim("m", "bench", 1, "ada")
    assert destination.claim("m", "bench", 1, "grace")
    assert not destination.claim("m", "bench", 1, "ada")


def test_of_many_who_claim_at_once_one_gets_the_number(destination: Destination) -> None:
    with ThreadPoolExecutor(16) as pool:
        got = list(pool.map(lambda holder: destination.claim("m", "bench", 7, f"holder {holder}"), range(64)))
    assert sum(got) == 1


def test_a_claim_ends_once_and_for_good(destination: Destination) -> None:
    destination.claim("m", "bench", 1, "ada")
    destination.claim("m", "bench", 2, "grace")
    assert destination.settle("m", "bench", 2, "released", {"by": "grace"})
    assert not destination.settle("m", "bench", 2, "abandoned", {})
    one, two = destination.claims("m", "bench")
    assert (one.release, one.holder, one.end) == (1, "ada", None)
    assert (two.release, two.holder, two.end, two.note) == (2, "grace", "released", {"by": "grace"})
    assert destination.claims("m", "other") == []


def test_bundles_of_abandoned_releases_are_swept_away(destination: Destination, file: Path) -> None:
    written = {}
    ends: tuple[End | None, ...] = ("released", "abandoned", None)
    for number, end in enumerate(ends, start=1):
        destination.claim("m", "bench", number, str(number))
        written[number] = destination.write(*content(file, ORIGIN | {"release": str(number)}))
        if end is not None:
            destination.settle("m", "bench", number, end, {})
    assert destination.sweep("m", "bench") == [written[2]]
    assert destination.bundles("m", "bench") == sorted([written[1], written[3]])
    assert destination.holds("m", "bench", 1)
    assert not destination.holds("m", "bench", 2)


def test_a_release_that_was_cut_short_is_not_held(
    case: Case, destination: Destination, file: Path, tmp_path: Path
) -> None:
    destination.write(*content(file, ORIGIN | {"release": "1"}))
    assert destination.holds("m", "bench", 1)
    case.spoil(file.read_bytes(), file.read_bytes()[:-1])
    assert destination.fetch("m", "bench", 1, tmp_path / "fetched") is None
    assert not destination.holds("m", "bench", 1)


def test_a_model_with_a_damaged_byte_is_not_fetched(
    case: Case, destination: Destination, file: Path, tmp_path: Path
) -> None:
    destination.write(*content(file, ORIGIN | {"release": "1"}))
    damaged = bytearray(file.read_bytes())
    damaged[20] ^= 1
    case.spoil(file.read_bytes(), bytes(damaged))
    assert destination.fetch("m", "bench", 1, tmp_path / "fetched") is None


def test_a_damaged_file_is_replaced_where_the_bundle_is_written_again(
    case: Case, destination: Destination, file: Path, tmp_path: Path
) -> None:
    given = content(file, ORIGIN | {"release": "1"})
    address = destination.write(*given)
    case.spoil(file.read_bytes(), b"cut short")
    assert destination.write(*given) == address and destination.holds("m", "bench", 1)
    assert case.read(address) == given[0]
    assert destination.fetch("m", "bench", 1, tmp_path / "fetched") is not None


def test_the_manifests_of_a_release_are_as_they_were_written(destination: Destination, file: Path) -> None:
    assert destination.manifests("m", "bench", 1) == []
    both = [content(file, lineage | {"release": "1"})[0] for lineage in (APPROVED, BY_GRACE)]
    for manifest in both:
        destination.write(manifest, {"model.onnx": file})
    destination.write(*content(file, ORIGIN | {"release": "2"}))
    assert sorted(destination.manifests("m", "bench", 1)) == sorted(map(encode_manifest, both))


def in_folder(file: Path, lineage: dict[str, str], **changes: Any) -> Path:
    """Write a bundle into a folder, and return the path of its manifest."""
    return Path(FolderDestination(file.parent / "target").write(*content(file, lineage, **changes)))


def supersede(bundle: Path) -> list[str]:
    return [Path(address).name for address in FolderDestination(bundle.parents[3]).supersede(str(bundle))]


def beside(bundle: Path) -> set[Path]:
    return set(bundle.parent.iterdir())


def test_nothing_lies_beside_the_manifests_in_a_folder(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    other = in_folder(file, APPROVED | {"run_key": "of another recipe"})
    older, newer = in_folder(file, APPROVED), in_folder(file, BY_GRACE)
    assert beside(newer) == {other, older, newer}
    with caplog.at_level(logging.INFO, logger="edgewright"):
        assert supersede(newer) == [older.name]
    assert beside(newer) == {other, newer}
    assert f"took the place of {older.name[:12]}, which has an older decision" in caplog.text


def test_what_takes_the_place_of_another_keeps_the_blobs_that_both_have(file: Path) -> None:
    older, newer = in_folder(file, APPROVED), in_folder(file, BY_GRACE)
    camera = in_folder(file, APPROVED, device="camera")
    assert supersede(newer) == [older.name]
    assert [read_bundle(each).entry_path.read_bytes() for each in (newer, camera)] == [file.read_bytes()] * 2


def test_papers_and_deltas_make_no_other_release(file: Path, tmp_path: Path) -> None:
    paper = tmp_path / "sbom.cdx.json"
    paper.write_text("{}")
    older = in_folder(file, APPROVED)
    manifest, files = content(file, BY_GRACE, documents=blobs_of({paper.name: paper}))
    destination = FolderDestination(file.parent / "target")
    newer = destination.write(manifest, files | {paper.name: paper})
    assert destination.supersede(newer) == [str(older)]


def test_what_is_no_bundle_is_left_alone(file: Path) -> None:
    bundle, damaged = in_folder(file, APPROVED), in_folder(file, BY_GRACE)
    damaged.chmod(0o644)
    damaged.write_text("{}")
    (bundle.parent / "notes.txt").write_text("by hand")
    (bundle.parent / "link").symlink_to(bundle)
    (bundle.parent / "empty").mkdir()
    assert supersede(bundle) == []
    assert {path.name for path in beside(bundle)} == {bundle.name, damaged.name, "notes.txt", "link", "empty"}


def test_what_is_removed_is_durably_gone(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    older, newer = in_folder(file, APPROVED), in_folder(file, BY_GRACE)
    events: list[str] = []
    monkeypatch.setattr(
        "tasks.delivery.destinations.fsync_directory", lambda folder: events.append(f"{folder.name} {older.exists()}")
    )
    assert supersede(newer) == [older.name]
    assert events == ["bench False"]


def test_a_model_that_is_fetched_has_its_acceptance_data_beside_it(file: Path, tmp_path: Path) -> None:
    vectors = tmp_path / "golden.npz"
    vectors.write_bytes(b"vectors")
    files = {"model.onnx": file, vectors.name: vectors}
    filled = everything(files) | {
        "lineage": {"release": "3"},
        "documents": (),
        "deltas": (),
        "heads": (),
        "outputs": (TensorSpec("y", "float32", (None, 3)),),
    }
    manifest = described(files, **filled, model="m", device="bench", inputs=TENSOR)
    destination = FolderDestination(tmp_path / "target")
    destination.write(manifest, files)
    fetched = destination.fetch("m", "bench", 3, tmp_path / "fetched")
    assert fetched is not None
    accepted = Acceptance.read(fetched.parent)
    assert accepted is not None and accepted.golden_file.read_bytes() == b"vectors"
    assert (accepted.golden, accepted.spreads) == (manifest.golden, manifest.spreads)
    assert accepted.measured == manifest.measured

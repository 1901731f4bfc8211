"""Carried releases: what devices are offered, no more and no less, verified before it is named."""

import shutil
import threading
from pathlib import Path

import pytest

from edge_runtime.errors import BundleError, TrustError
from tasks.delivery.export import carry
from tasks.errors import PublishError, SystemFailure
from tests.edge_runtime.device.operated_device import OperatedDevice
from tests.edge_runtime.install.carried import DEVICE, MODEL
from tests.tasks.delivery.export.offering import Offering


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_folder_holds_what_a_device_needs_and_nothing_else(offering: Offering, tmp_path: Path) -> None:
    other = offering.offer(7, model="brakes")
    newest = offering.offer(2)
    release = carry(offering.repository(), MODEL, DEVICE, tmp_path / "out")
    assert release.bundle.digest == newest.digest
    blobs = {f"blobs/{blob.sha256}" for blob in release.bundle.manifest.blobs}
    metadata = {name for name in names(release.folder) if name.startswith("metadata/")}
    assert names(release.folder) == blobs | metadata | {f"targets/{MODEL}/{DEVICE}/{newest.digest}.manifest.json"}
    kinds = sorted(name.removeprefix("metadata/").lstrip("0123456789.") for name in metadata)
    assert kinds == [f"device-{DEVICE}.json", "root.json", "snapshot.json", "targets.json", "timestamp.json"]
    assert (offering.target / "targets" / "brakes" / DEVICE / f"{other.digest}.manifest.json").exists()
    assert release.size == sum((release.folder / name).stat().st_size for name in names(release.folder))


def test_a_device_installs_it_and_then_the_next_one(offering: Offering, device: OperatedDevice, tmp_path: Path) -> None:
    carry(offering.repository(), MODEL, DEVICE, tmp_path / "first")
    offering.offer(2)
    carry(offering.repository(), MODEL, DEVICE, tmp_path / "second")
    for number, name in ((1, "first"), (2, "second")):
        said = device.run("install", tmp_path / name)
        assert (said.returncode, said.stderr) == (0, "")
        assert f"release {number}, version {number}" in said.stdout and "runs from now on" in said.stdout
    older = device.run("install", tmp_path / "first")
    assert older.returncode == 4 and "never older than what this device has verified" in older.stderr


def test_all_roots_go_along_so_that_devices_follow_a_rotation(
    offering: Offering, device: OperatedDevice, tmp_path: Path
) -> None:
    _ = device.configuration  # shipped with the first root
    offering.work().rotate("online", offering.persons, None, None)
    release = carry(offering.repository(), MODEL, DEVICE, tmp_path / "out")
    assert {"metadata/1.root.json", "metadata/2.root.json"} <= names(release.folder)
    assert device.trusts(release.folder) == release.bundle.digest


def test_documents_go_along_where_they_are_asked_for(offering: Offering, tmp_path: Path) -> None:
    (document,) = offering.offer_with_document("sbom.cdx.json", b"{}").documents
    without = carry(offering.repository(), MODEL, DEVICE, tmp_path / "without")
    with_it = carry(offering.repository(), MODEL, DEVICE, tmp_path / "with", documents=True)
    assert names(with_it.folder) - names(without.folder) == {f"blobs/{document.sha256}"}
    assert (with_it.folder / "blobs" / document.sha256).read_bytes() == b"{}"


def test_where_nothing_is_signed_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    with pytest.raises(PublishError, match=r"expected a signed repository, got none.*edgewright keys init"):
        carry(Offering(tmp_path).repository(), MODEL, DEVICE, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("model", "device"), [(MODEL, "kiosk"), ("brakes", DEVICE), (MODEL, "nobody")])
def test_where_nothing_is_offered_that_is_said(offering: Offering, tmp_path: Path, model: str, device: str) -> None:
    with pytest.raises(PublishError, match=f"expected a release of {model} that is offered .* {device}, got none"):
        carry(offering.repository(), model, device, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_withdrawn_release_is_not_offered(offering: Offering, tmp_path: Path) -> None:
    offering.repository().withdraw(MODEL, DEVICE)
    with pytest.raises(PublishError, match="got none"):
        carry(offering.repository(), MODEL, DEVICE, tmp_path / "out")


def test_a_damaged_blob_is_found(offering: Offering, tmp_path: Path) -> None:
    blob = next(path for path in (offering.target / "blobs").iterdir())
    blob.chmod(0o644)
    blob.write_bytes(b"x" * blob.stat().st_size)
    with pytest.raises(BundleError, match="it is damaged"):
        carry(offering.repository(), MODEL, DEVICE, tmp_path / "out")


def test_a_missing_blob_is_named(offering: Offering, tmp_path: Path) -> None:
    next((offering.target / "blobs").iterdir()).unlink()
    with pytest.raises(SystemFailure, match=r"expected the blob .* of what is offered, got none"):
        carry(offering.repository(), MODEL, DEVICE, tmp_path / "out")


def test_a_repository_with_another_root_than_the_one_kept_here_is_not_trusted(
    offering: Offering, tmp_path: Path
) -> None:
    strange = Offering(tmp_path / "strange").begin()
    shutil.copy(strange.keys / "root.json", offering.keys / "root.json")
    with pytest.raises(SystemFailure, match=r"1\.root\.json"):
        carry(offering.repository(), MODEL, DEVICE, tmp_path / "out")


def test_a_manifest_that_was_changed_is_not_trusted(offering: Offering, tmp_path: Path) -> None:
    (manifest,) = (offering.target / "targets" / MODEL / DEVICE).iterdir()
    manifest.chmod(0o644)
    whole = manifest.read_bytes()
    manifest.write_bytes(whole[:-2] + bytes([whole[-2] ^ 1]) + whole[-1:])
    with pytest.raises(TrustError):
        carry(offering.repository(), MODEL, DEVICE, tmp_path / "out")


def test_no_key_is_needed(offering: Offering, tmp_path: Path) -> None:
    for key in offering.keys.glob("*.pem"):
        key.unlink()
    assert carry(offering.repository(), MODEL, DEVICE, tmp_path / "out").bundle.manifest.version == "1"


def test_it_is_one_state_whatever_is_published_meanwhile(
    offering: Offering, tmp_path: Path, device: OperatedDevice
) -> None:
    published = threading.Event()

    class Meanwhile:
        """A store beside which another release is published as soon as the snapshot was read."""

        def __init__(self) -> None:
            self.inner = offering.repository().store

        def __getattr__(self, name: str) -> object:
            return getattr(self.inner, name)

        def read(self, name: str, most_bytes: int) -> bytes | None:
            data = self.inner.read(name, most_bytes)
            if name.endswith(".snapshot.json") and not published.is_set():
                published.set()
                offering.offer(2)
            return data

    repository = offering.repository()
    repository.store = Meanwhile()  # type: ignore[assignment]  # what it does not have is the real store's
    release = carry(repository, MODEL, DEVICE, tmp_path / "out")
    assert published.is_set()
    assert device.trusts(release.folder) == release.bundle.digest


def test_it_comes_from_s3_as_from_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: OperatedDevice, offering: Offering
) -> None:
    pytest.importorskip("s3fs", reason="S3 needs the extra s3: pip install -e '.[dev]'")
    pytest.importorskip("moto", reason="the test of S3 needs moto's server: pip install 'moto[s3,server]'")
    from tests.tasks.repository.s3_server import BUCKET, KEYS, s3_server

    with s3_server() as address:
        for name, value in {**KEYS, "AWS_ENDPOINT_URL_S3": address}.items():
            monkeypatch.setenv(name, value)
        store = offering.repository(f"s3://{BUCKET}/edge").store
        for path in sorted(path for path in offering.target.rglob("*") if path.is_file()):
            assert store.create(str(path.relative_to(offering.target)), path)
        release = carry(offering.repository(f"s3://{BUCKET}/edge"), MODEL, DEVICE, tmp_path / "out")
    assert device.trusts(release.folder) == release.bundle.digest

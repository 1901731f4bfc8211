"""Stores, publishers and passphrases for the tests of the signed repository."""

import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tasks.repository import FolderObjects, ObjectStore, open_store
from tests.tasks.repository.publishers import PERSONS, WORKER, Publisher


@pytest.fixture(autouse=True)
def passphrases(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EDGEWRIGHT_KEYS", "EDGEWRIGHT_KEYS_PASSPHRASE_FILE", "EDGEWRIGHT_OFFLINE_KEYS_PASSPHRASE_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("EDGEWRIGHT_KEYS_PASSPHRASE", WORKER)
    monkeypatch.setenv("EDGEWRIGHT_OFFLINE_KEYS_PASSPHRASE", PERSONS)


@pytest.fixture(scope="session")
def s3_address() -> Iterator[str]:
    """The address of moto's S3 server in this process, with a bucket; skips where the packages are not installed."""
    pytest.importorskip("s3fs", reason="S3 needs the extra s3: pip install -e '.[dev]'")
    from tests.tasks.repository.s3_server import s3_server

    with s3_server() as address:
        yield address


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    if request.param == "folder":
        return FolderObjects(tmp_path / "target")
    address = request.getfixturevalue("s3_address")
    from tests.tasks.repository.s3_server import BUCKET, KEYS

    for name, value in {**KEYS, "AWS_ENDPOINT_URL_S3": address}.items():
        monkeypatch.setenv(name, value)
    return open_store(f"s3://{BUCKET}/{tmp_path.name}")


@pytest.fixture
def publisher(tmp_path: Path, store: ObjectStore) -> Publisher:
    """A publisher with a repository that was just begun."""
    made = Publisher(tmp_path, store)
    made.begin()
    return made


@pytest.fixture(scope="session")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with keys and a repository with one manifest, to be copied."""
    folder = tmp_path_factory.mktemp("begun") / "first"
    made = Publisher(folder, FolderObjects(folder / "target"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEWRIGHT_KEYS_PASSPHRASE", WORKER)
        patch.setenv("EDGEWRIGHT_OFFLINE_KEYS_PASSPHRASE", PERSONS)
        made.begin()
        made.repository().publish("m", "camera", b"first")
    return folder


@pytest.fixture
def fresh(begun: Path, tmp_path: Path) -> Callable[[], Publisher]:
    """Make a further publisher whose repository, in a folder, offers the manifest `first` of `m` to cameras."""
    numbers = itertools.count()

    def make() -> Publisher:
        folder = tmp_path / str(next(numbers))
        shutil.copytree(begun, folder)
        return Publisher(folder, FolderObjects(folder / "target"))

    return make

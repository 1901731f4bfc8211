"""Passphrases of keys, and a repository that was begun."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tasks.workspace import Workspace
from tests.tasks.delivery.devices import PERSONS, WORKER, Reader, begin


@pytest.fixture(autouse=True)
def passphrases(monkeypatch: pytest.MonkeyPatch) -> None:
    """The passphrases of this test's keys, and none of the machine's own."""
    for name in ("EDGEWRIGHT_KEYS", "EDGEWRIGHT_KEYS_PASSPHRASE_FILE", "EDGEWRIGHT_OFFLINE_KEYS_PASSPHRASE_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("EDGEWRIGHT_KEYS_PASSPHRASE", WORKER)
    monkeypatch.setenv("EDGEWRIGHT_OFFLINE_KEYS_PASSPHRASE", PERSONS)


@pytest.fixture
def reader(workspace: Workspace, tmp_path: Path) -> Reader:
    """A device in front of the repository that is begun in the test's workspace, for `bench` and `camera`."""
    begin(workspace, ("bench", "camera"))
    return Reader(tmp_path / "device", workspace)


class BucketServer(NamedTuple):
    """A bucket of S3: its address for publishers, and the URL under which anybody may read it."""

    address: str
    url: str


@pytest.fixture(scope="session")
def bucket_server() -> Iterator[str]:
    """The address of moto's S3 server in this process; skips where its packages are not installed."""
    for package in ("s3fs", "moto"):
        pytest.importorskip(package, reason=f"no test of S3: {package} is missing; pip install -e '.[scale-tests]'")
    from tests.tasks.repository.s3_server import BUCKET, s3_server

    everybody = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/*"}
    policy = {"Version": "2012-10-17", "Statement": [everybody]}
    with s3_server() as address:
        httpx.put(f"{address}/{BUCKET}?policy", json=policy, trust_env=False, timeout=60).raise_for_status()
        yield address


@pytest.fixture
def bucket(bucket_server: str, monkeypatch: pytest.MonkeyPatch) -> BucketServer:
    """A bucket, with the keys of a publisher in the environment."""
    from tests.tasks.repository.s3_server import BUCKET, KEYS

    for name, value in {**KEYS, "AWS_ENDPOINT_URL_S3": bucket_server}.items():
        monkeypatch.setenv(name, value)
    return BucketServer(f"s3://{BUCKET}", f"{bucket_server}/{BUCKET}")

"""The command line that TUF's conformance suite calls, against a real server."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.edge_runtime.trust.repositories import SignedRepository

ROOT = Path(__file__).parents[1]
TARGET = "m/gateway/manifest.json"


class _Noting(SimpleHTTPRequestHandler):
    def __init__(self, asked: list[str], *arguments: object, **options: object) -> None:
        self._asked = asked
        super().__init__(*arguments, **options)  # type: ignore[arg-type]

    def log_message(self, format: str, *args: object) -> None:
        del format, args

    def do_GET(self) -> None:
        self._asked.append(self.path)
        super().do_GET()


class _Client:
    """The command line in front of a server, with folders of its own."""

    def __init__(self, folder: Path, repository: SignedRepository, url: str) -> None:
        self.metadata, self.targets = folder / "metadata", folder / "targets"
        self.metadata.mkdir(parents=True)
        self.targets.mkdir()
        self.root = folder / "root.json"
        self.root.write_bytes(repository.shipped)
        self._url = url

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command as the suite does; it must end with 0 or 1 and no traceback."""
        options = ["--metadata-dir", str(self.metadata), "--metadata-url", f"{self._url}/metadata/"]
        ended = subprocess.run(
            [sys.executable, "-P", str(ROOT / "tests" / "tuf_client.py"), *options, *command],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode in (0, 1) and "Traceback" not in ended.stderr, ended.stderr
        return ended

    def download(self, *names: str) -> subprocess.CompletedProcess[str]:
        """Download targets by name."""
        given = [word for name in names for word in ("--target-name", name)]
        places = ["--target-base-url", f"{self._url}/targets", "--target-dir", str(self.targets)]
        return self.run(*given, *places, "download")


@pytest.fixture
def repository(tmp_path: Path) -> SignedRepository:
    made = SignedRepository(tmp_path / "repository", now=datetime.now(UTC))
    made.publish(b"first")
    return made


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
def client(tmp_path: Path, repository: SignedRepository, asked: list[str]) -> Iterator[_Client]:
    handler = partial(_Noting, asked, directory=str(repository.folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield _Client(tmp_path / "client", repository, f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
        thread.join()


def test_a_target_is_downloaded_once_and_again_when_it_changes(
    client: _Client, repository: SignedRepository, asked: list[str]
) -> None:
    assert client.run("init", str(client.root)).returncode == 0
    assert asked == [] and [path.name for path in client.metadata.glob("*.json")] == ["root.json"]
    assert client.run("refresh").returncode == 0
    assert asked == [f"/metadata/{name}.json" for name in ("2.root", "timestamp", "2.snapshot", "1.targets")]
    assert client.download(TARGET).returncode == 0
    kept = client.targets / quote(TARGET, safe="")
    assert kept.read_bytes() == b"first"
    assert client.download(TARGET).returncode == 0
    assert len([path for path in asked if path.startswith("/targets/")]) == 1
    repository.replace_key("root")
    repository.publish(b"second")
    assert client.download(TARGET).returncode == 0
    assert kept.read_bytes() == b"second" and len(list(client.targets.iterdir())) == 1
    for role in ("root", "timestamp", "snapshot", "targets", "device-gateway"):
        assert (client.metadata / f"{role}.json").read_bytes() == repository.files(role)[0].read_bytes()


def test_what_is_refused_is_one_line_and_leaves_no_target(client: _Client, repository: SignedRepository) -> None:
    client.run("init", str(client.root))
    repository.write("targets", repository.keys["targets"][:1])
    ended = client.download(TARGET)
    assert ended.returncode == 1 and "targets was signed by 1/2 keys" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1 and list(client.targets.iterdir()) == []
    repository.write("targets")
    ended = client.download(TARGET, "m/nobody/manifest.json")
    assert ended.returncode == 1 and "must list 'm/nobody" in ended.stderr


def test_a_server_that_is_gone_is_one_line(client: _Client) -> None:
    client.run("init", str(client.root))
    ended = client.run("--metadata-url", "http://127.0.0.1:1/metadata/", "refresh")
    assert ended.returncode == 1 and "could not be fetched" in ended.stderr

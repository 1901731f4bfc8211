"""The stock `Updater` of python-tuf, which downloads a model's files in place: `python -m ... REPOSITORY ROOT`.

It is used as its documentation shows: trusted metadata and targets lie in folders of the device, and a target that is
not up to date is downloaded. The repository is a folder, so nothing is lost to a network.
"""

import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import DownloadHTTPError
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.ngclient import Updater
from tuf.ngclient.fetcher import FetcherInterface

from tests.power_cuts.subjects import (
    SIZES,
    SUCCESS,
    Found,
    Version,
    content,
    digest_of_files,
    found_in,
    python,
    run,
)

EXPIRES = datetime(2100, 1, 1, tzinfo=UTC)
CHUNK = 1 << 16


class TufInPlace:
    """The stock client as a subject; it fetches from a repository that is made in `work`."""

    name = "tuf.ngclient.Updater"
    success = SUCCESS

    def __init__(self, work: Path) -> None:
        self._repositories = {version: work / f"tuf-{version}" for version in ("A", "B")}
        self.identity = f"{digest_of_files(Path(__file__))} tuf {metadata.version('tuf')}"
        signer = CryptoSigner.generate_ed25519()
        publish(self._repositories["A"], signer, ("A",))
        publish(self._repositories["B"], signer, ("A", "B"))

    def prepare(self, root: Path) -> None:
        """Let the client fetch version A."""
        run(self._command("A", root))

    def command(self, root: Path) -> Sequence[str]:
        """Return the command that fetches version B."""
        return self._command("B", root)

    def boot(self, root: Path) -> None:
        """Do nothing: the client has no part in starting a device."""

    def found(self, root: Path) -> Found:
        """Look at the files that the client downloaded."""
        return found_in(root / "targets")

    def _command(self, version: Version, root: Path) -> Sequence[str]:
        return python(__name__, self._repositories[version], root)


class FolderFetcher(FetcherInterface):
    """A fetcher that reads addresses of the kind file://."""

    def _fetch(self, url: str) -> Iterator[bytes]:
        try:
            with Path(urlparse(url).path).open("rb") as file:
                while chunk := file.read(CHUNK):
                    yield chunk
        except FileNotFoundError:
            raise DownloadHTTPError(f"{url} is not there", 404) from None


def publish(repository: Path, signer: CryptoSigner, versions: Sequence[Version]) -> None:
    """Write a repository with one release of the model after the other."""
    root = Root(consistent_snapshot=True, expires=EXPIRES)
    for role in ("root", "timestamp", "snapshot", "targets"):
        root.add_key(signer.public_key, role)
    repository.joinpath("metadata").mkdir(parents=True)
    repository.joinpath("targets").mkdir()
    _write(repository, "1.root.json", Metadata(root), signer)
    for number, version in enumerate(versions, 1):
        listed = {name: TargetFile.from_data(name, data, ["sha256"]) for name, data in content(version).items()}
        for name, target in listed.items():
            path = repository / "targets" / f"{target.hashes['sha256']}.{name}"
            path.write_bytes(content(version)[name])
        targets = Targets(version=number, expires=EXPIRES, targets=listed)
        snapshot = Snapshot(version=number, expires=EXPIRES, meta={"targets.json": MetaFile(number)})
        timestamp = Timestamp(version=number, expires=EXPIRES, snapshot_meta=MetaFile(number))
        _write(repository, f"{number}.targets.json", Metadata(targets), signer)
        _write(repository, f"{number}.snapshot.json", Metadata(snapshot), signer)
        _write(repository, "timestamp.json", Metadata(timestamp), signer)


def update(repository: Path, root: Path) -> None:
    """Bring the device's files up to date."""
    for folder in ("metadata", "targets"):
        root.joinpath(folder).mkdir(exist_ok=True)
    updater = Updater(
        metadata_dir=str(root / "metadata"),
        metadata_base_url=f"file://{repository}/metadata",
        target_dir=str(root / "targets"),
        target_base_url=f"file://{repository}/targets",
        fetcher=FolderFetcher(),
        bootstrap=repository.joinpath("metadata", "1.root.json").read_bytes(),
    )
    updater.refresh()
    for name in SIZES:
        target = updater.get_targetinfo(name)
        if target is None:
            raise FileNotFoundError(name)
        if updater.find_cached_target(target) is None:
            updater.download_target(target)


def _write(repository: Path, name: str, signed: Metadata[Any], signer: CryptoSigner) -> None:
    signed.sign(signer)
    signed.to_file(str(repository / "metadata" / name))


if __name__ == "__main__":
    update(Path(sys.argv[1]), Path(sys.argv[2]))
    print(SUCCESS, flush=True)  # noqa: T201

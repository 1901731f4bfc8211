"""The device's TUF client in the form that TUF's conformance suite calls: init, refresh and download.

The suite is https://github.com/theupdateframework/tuf-conformance; its CLIENT-CLI.md describes this command line. Most
of its keys are ECDSA, which need the package cryptography; devices with ed25519 keys do without. From the suite's
folder, with the suite and Debian's `faketime` installed, all tests pass and none is an expected failure:

    pytest tuf_conformance --entrypoint "EDGEWRIGHT/.venv/bin/python -P EDGEWRIGHT/tests/tuf_client.py"
"""

import argparse
import os
import shutil
import sys
from pathlib import Path
from urllib.parse import quote

import urllib3

from edge_runtime.errors import EdgewrightError
from edge_runtime.trust import Fetch, NotThere, UpdateError, trusted_targets

_METADATA, _TARGETS = "metadata/", "targets/"


def http_fetch(metadata_url: str, targets_url: str | None) -> Fetch:
    """Return a Fetch for a repository whose metadata and targets have a URL each."""
    pool = urllib3.PoolManager(timeout=20, retries=False)

    def fetch(path: str, most_bytes: int, /) -> bytes:
        base = metadata_url if path.startswith(_METADATA) else targets_url or ""
        name = path.removeprefix(_METADATA).removeprefix(_TARGETS)
        url = f"{base.rstrip('/')}/{name}"
        try:
            response = pool.request("GET", url, preload_content=False)
            with response:
                if response.status in (403, 404):
                    raise NotThere(f"The server has no {url}; publish it.")
                if response.status != 200:
                    raise UpdateError(f"The server must answer 200 for {url}, not {response.status}; try again.")
                return response.read(most_bytes + 1)
        except urllib3.exceptions.HTTPError as error:
            raise UpdateError(f"The file {url} could not be fetched: {error}; try again.") from error

    return fetch


def refresh(options: argparse.Namespace, names: list[str]) -> None:
    """Refresh the metadata, download targets by name, and show the metadata as plain files whatever happened."""
    own = _own_folder(options)
    fetch = http_fetch(options.metadata_url, options.target_base_url)
    try:
        downloaded = trusted_targets(own, _shipped(options).read_bytes(), fetch, names, kept=_kept(options))
    finally:
        _show(own / "metadata", options.metadata_dir)
    for target in downloaded:
        path = _target(options, target.path)
        if not path.exists() or path.read_bytes() != target.data:
            path.write_bytes(target.data)


def initialize(options: argparse.Namespace) -> None:
    """Keep the root that a device would be shipped with."""
    _own_folder(options).mkdir(parents=True)
    shutil.copyfile(options.trusted_root, _shipped(options))
    shutil.copyfile(options.trusted_root, options.metadata_dir / "root.json")


def _own_folder(options: argparse.Namespace) -> Path:
    return Path(options.metadata_dir) / "edgewright"


def _shipped(options: argparse.Namespace) -> Path:
    return _own_folder(options) / "shipped-root"


def _target(options: argparse.Namespace, path: str) -> Path:
    return Path(options.target_dir) / quote(path, safe="")


def _kept(options: argparse.Namespace) -> Fetch | None:
    """Return a Fetch of what was downloaded before, whose names have no hash."""
    if options.target_dir is None:
        return None

    def fetch(path: str, most_bytes: int, /) -> bytes:
        folder, slash, name = path.removeprefix(_TARGETS).rpartition("/")
        for each in (name, name.partition(".")[2]):
            found = _target(options, f"{folder}{slash}{each}")
            if found.is_file():
                return found.read_bytes()[: most_bytes + 1]
        raise NotThere(f"{path} was not downloaded before; fetch it.")

    return fetch


def _show(own: Path, shown: Path) -> None:
    """Copy metadata under names without versions, which is what the suite looks at."""
    for path in own.glob("*.json"):
        shutil.copyfile(path, shown / path.name)
    roots = sorted((own / "root_history").glob("*.root.json"), key=lambda path: int(path.name.partition(".")[0]))
    for path in roots[-1:]:
        shutil.copyfile(path, shown / "root.json")


def main() -> int:
    """Run the command; return 0, or 1 with one line on stderr if it failed."""
    parser = argparse.ArgumentParser(description="The device's TUF client, as TUF's conformance suite calls it.")
    parser.add_argument("--metadata-dir", type=Path, required=True)
    parser.add_argument("--metadata-url")
    parser.add_argument("--target-name", action="append", default=[])
    parser.add_argument("--target-base-url")
    parser.add_argument("--target-dir", type=Path)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("init").add_argument("trusted_root", type=Path)
    commands.add_parser("refresh")
    commands.add_parser("download")
    options = parser.parse_args()
    try:
        if options.command == "init":
            initialize(options)
        else:
            refresh(options, options.target_name if options.command == "download" else [])
    except (EdgewrightError, OSError) as error:
        sys.stderr.write(f"error: {error}{os.linesep}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

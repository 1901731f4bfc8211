"""A writer in the form of a device's store: blobs named by their sha256, then one small file that names them.

`python -m tests.power_cuts.atomic_writer ROOT VERSION` brings a version. Everything is written with write_atomic, which
syncs file and folder, so no cut may harm it. Under eatmydata it is the mutant that the harness must catch.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from edge_runtime import files
from tests.power_cuts.subjects import SUCCESS, VERSIONS, Found, Version, content, digest_of_files, digests, python


class AtomicWriter:
    """The writer as a subject."""

    name = "atomic writer"
    success = SUCCESS
    identity = digest_of_files(Path(__file__), Path(files.__file__))

    def prepare(self, root: Path) -> None:
        """Install version A."""
        write(root, "A")

    def command(self, root: Path) -> Sequence[str]:
        """Return the command that brings version B."""
        return python(__name__, root, "B")

    def boot(self, root: Path) -> None:
        """Do nothing: what the small file names is what counts."""

    def found(self, root: Path) -> Found:
        """Return the version that the small file names, if its blobs are whole."""
        try:
            names = json.loads((root / "current.json").read_bytes())
            whole = {name: files.sha256_of(root / "blobs" / digest) == digest for name, digest in names.items()}
        except (OSError, ValueError) as error:
            return Found(None, str(error))
        version = next((each for each in VERSIONS if digests(each) == names), None)
        damaged = [name for name, is_whole in whole.items() if not is_whole]
        return Found(None if damaged else version, f"{version} named, damaged: {', '.join(damaged) or 'nothing'}")


def write(root: Path, version: Version) -> None:
    """Bring a version; blobs that are there and whole stay."""
    files.make_directories(root / "blobs")
    for name, data in content(version).items():
        blob = root / "blobs" / digests(version)[name]
        if not blob.exists() or files.sha256_of(blob) != blob.name:
            files.write_atomic(blob, data)
    files.write_atomic(root / "current.json", json.dumps(digests(version)).encode())


if __name__ == "__main__":
    write(Path(sys.argv[1]), "B" if sys.argv[2] == "B" else "A")
    print(SUCCESS, flush=True)  # noqa: T201

"""Mender's stock update module `directory`, from Debian's mender-client: `python -m ... PAYLOAD ROOT`.

The module is a shell script that the client calls with the names of states. This does the client's part and is kinder
than the client: it syncs the payload, keeps the state durable, and rolls back by itself after a cut before the commit.
"""

import io
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from edge_runtime.files import make_directories, write_atomic
from tests.power_cuts.subjects import SUCCESS, Found, content, digest_of_files, found_in, python

MODULE = Path("/usr/share/mender/modules/v3/directory")
PACKAGE = "mender-client"
_HOME = Path("var/lib/mender")
_TREE = _HOME / "modules/v3/payloads/0000/tree"
_MODEL = "model"
_INSTALLING, _IDLE = b"ArtifactInstall", b"Idle"


class MenderDirectory:
    """The module as a subject; the payload that it installs is made in `work`."""

    name = "Mender's directory module"
    success = SUCCESS

    def __init__(self, work: Path) -> None:
        self._payload = work / "update.tar"
        self.identity = digest_of_files(Path(__file__), MODULE)
        with tarfile.open(self._payload, "w") as archive:
            for name, data in content("B").items():
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))

    def prepare(self, root: Path) -> None:
        """Install version A by hand."""
        make_directories(root / _HOME)
        (root / _MODEL).mkdir()
        for name, data in content("A").items():
            (root / _MODEL / name).write_bytes(data)

    def command(self, root: Path) -> Sequence[str]:
        """Return the command that installs and commits version B."""
        return python(__name__, self._payload, root)

    def boot(self, root: Path) -> None:
        """Roll back what a cut interrupted before its commit, as Mender's daemon does when it starts."""
        with suppress(FileNotFoundError):
            if (root / _HOME / "state").read_bytes() == _INSTALLING:
                for state in ("ArtifactRollback", "ArtifactFailure"):
                    with suppress(subprocess.CalledProcessError):
                        _call(root, state)
                _clean(root)

    def found(self, root: Path) -> Found:
        """Look at the files in the folder that the module replaces."""
        return found_in(root / _MODEL)


def install(payload: Path, root: Path) -> None:
    """Take an update through the module's states: Download, ArtifactInstall, ArtifactCommit and Cleanup."""
    tree = root / _TREE
    shutil.rmtree(tree, ignore_errors=True)
    for folder in ("files", "tmp"):
        make_directories(tree / folder)
    _call(root, "Download")
    write_atomic(tree / "files" / "update.tar", payload.read_bytes())
    up = os.path.relpath(root / _MODEL, tree)  # relative, because the copy of a disk is mounted elsewhere
    write_atomic(tree / "files" / "dest_dir", up.encode())
    write_atomic(root / _HOME / "state", _INSTALLING)
    for state in ("ArtifactInstall", "NeedsArtifactReboot", "ArtifactCommit"):
        _call(root, state)
    _clean(root)


def _clean(root: Path) -> None:
    write_atomic(root / _HOME / "state", _IDLE)
    _call(root, "Cleanup")
    shutil.rmtree(root / _TREE)


def _call(root: Path, state: str) -> None:
    command = (MODULE, state, root / _TREE)
    subprocess.run(command, cwd=root / _TREE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True)


if __name__ == "__main__":
    install(Path(sys.argv[1]), Path(sys.argv[2]))
    print(SUCCESS, flush=True)  # noqa: T201

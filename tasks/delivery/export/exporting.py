"""Exporting: a release is carried into a temporary folder beside its place, made into a form there, and renamed."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from edge_runtime.bundle import Manifest
from edge_runtime.files import fsync_directory
from tasks.delivery.export.carried_release import carry
from tasks.delivery.export.export_form import ExportForm, FormOptions
from tasks.delivery.export.mender_artifact import MenderArtifact
from tasks.delivery.export.plain_folder import PlainFolder
from tasks.errors import PublishError, SystemFailure, one_line
from tasks.repository import SignedRepository

KINDS: Mapping[str, Callable[[FormOptions], ExportForm]] = {"dir": PlainFolder.of, "mender": MenderArtifact.of}
"""The forms by the names that people give them: a new kind is one file and one entry."""
_SCRATCH = ".edgewright-export-"
_YOUNG_S = 60.0


@dataclass(frozen=True)
class Exported:
    """An export: its path, what it holds, its bytes before it was packed, and the end of the time that it counts."""

    path: Path
    manifest: Manifest
    digest: str
    size: int
    expires: datetime


def form_of(kind: str, options: FormOptions) -> ExportForm:
    """Return the form of a kind. Raises PublishError for an unknown one, and for options that it does not take."""
    if kind not in KINDS:
        raise PublishError(f"--to {kind}: expected one of {', '.join(KINDS)}, got another; name one")
    return KINDS[kind](options)


def export_release(
    repository: SignedRepository, model: str, device: str, form: ExportForm, out: Path, *, documents: bool = False
) -> Exported:
    """Put what devices are offered of a model at a path where nothing is, in a form.

    It is there whole, verified and synced, or not at all. Raises as `carry` does, PublishError where something is at
    the path, and SystemFailure where the form cannot be made or written.
    """
    form.check()
    try:
        _check_free(out)
        with _beside(out) as scratch:
            release = carry(repository, model, device, scratch / "release", documents=documents)
            size = release.size
            made = form.make(release, scratch)
            _check_free(out)
            made.rename(out)
            fsync_directory(out.parent)
    except OSError as error:
        raise SystemFailure(f"{out}: expected to write it, got {one_line(error)}; cure the cause, run again") from error
    return Exported(out, release.bundle.manifest, release.bundle.digest, size, release.expires)


def _check_free(out: Path) -> None:
    if os.path.lexists(out):
        raise PublishError(f"{out}: expected a path where nothing is, got something; name another, or remove it")
    if not out.parent.is_dir():
        raise PublishError(f"{out.parent}: expected a folder to export into, got none; make it, or mount it")


@contextmanager
def _beside(out: Path) -> Iterator[Path]:
    """Yield a new folder on the file system of a path; those of killed exports are removed."""
    for left in out.parent.glob(f"{_SCRATCH}*"):
        _remove_if_left(left)
    folder = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=out.parent))
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # the kernel lets go of it when this process is killed
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def _remove_if_left(folder: Path) -> None:
    with suppress(OSError):  # of another user, or gone by now
        if time.time() - folder.lstat().st_mtime < _YOUNG_S:
            return  # its maker may not have its lock yet
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
        finally:
            os.close(descriptor)

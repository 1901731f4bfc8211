"""File systems in image files, and copies of a whole image at one moment: power cuts without a special kernel.

An image lies on an XFS of its own, the *stand*, whose files can share their blocks. A cut is one FICLONE of the image:
the kernel locks the file, waits for writes that have begun, holds back later ones, and copies the list of its blocks.
So a copy holds all that the kernel had written to the disk up to one instant, in its order, and nothing later. What the
file system still kept in memory is not in it. No program is stopped, and the writer notices a pause of milliseconds.

Mounting the copy lets the file system recover from its journal, as it does after a real cut. One thing is kinder than
some real disks are: the disk loses nothing that it had received, so its own volatile cache counts as written. A writer
that trusts the disk's cache is not caught here; one that trusts the kernel's is.
"""

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

FICLONE = 0x40049409
IMAGE_BYTES = 320 << 20  # the least that mkfs.xfs makes is 300 MiB
STAND_BYTES = 8 << 30  # sparse: only what differs between images takes space
WITNESS_BYTES = 4 << 20
BUSY_S = 10.0  # that a file system may be in use after its subject has ended
MEMORY = Path("/dev/shm")
TOOLS = {"mkfs.ext4": "e2fsprogs", "mkfs.xfs": "xfsprogs", "mount": "mount"}


@dataclass(frozen=True)
class FileSystem:
    """A kind of file system, the command that makes it, and the options that it is mounted with."""

    name: str
    kind: str
    options: tuple[str, ...] = ()

    def make(self, image: Path) -> None:
        """Make an empty one in a file."""
        with image.open("wb") as file:
            file.truncate(IMAGE_BYTES)
        _run(f"mkfs.{self.kind}", "-q", *(("-F",) if self.kind == "ext4" else ()), image)


FILE_SYSTEMS: Mapping[str, FileSystem] = {
    each.name: each
    for each in (
        FileSystem("ext4", "ext4"),
        FileSystem("ext4-writeback", "ext4", ("data=writeback",)),
        FileSystem("xfs", "xfs", ("nouuid",)),  # a copy has the identity of the original, which may be mounted too
    )
}
"""File systems by name. All have their defaults but for what the name says."""


class Stand:
    """The place where images lie; every image is a file of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._names = 0
        self._empty: Path | None = None

    def new_image(self) -> Path:
        """Return the path of an image that is not there yet."""
        self._names += 1
        return self.folder / f"{self._names}.img"

    def cut(self, image: Path) -> Path:
        """Copy an image as it is at this instant, in about a millisecond."""
        copy = self.new_image()
        with image.open("rb") as source, copy.open("xb") as target:
            fcntl.ioctl(target.fileno(), FICLONE, source.fileno())
        return copy

    @contextmanager
    def witness(self) -> Iterator["Witness"]:
        """Let a file system with a file that nobody syncs lie beside for the block."""
        file_system = FILE_SYSTEMS["ext4"]
        if self._empty is None:
            self._empty = self.new_image()
            file_system.make(self._empty)
        image = self.cut(self._empty)
        try:
            with self.mounted(image, file_system) as root:
                yield Witness(image, root)
        finally:
            image.unlink()

    @contextmanager
    def mounted(self, image: Path, file_system: FileSystem) -> Iterator[Path]:
        """Mount an image, and unmount it at the end, which writes everything to it."""
        with _mounted(image, file_system.kind, (*file_system.options, "loop")) as root:
            yield root


class Witness:
    """A file that nobody syncs. Once it is on the disk, somebody has synced all file systems of this machine.

    A program that syncs nothing looks safe then, because another one did its work: such cuts do not count.
    """

    def __init__(self, image: Path, root: Path) -> None:
        self._image = image
        self._blocks = image.stat().st_blocks
        (root / "unsynced").write_bytes(os.urandom(WITNESS_BYTES))

    @property
    def is_unsynced(self) -> bool:
        """True while the disk has not received the file; for 30 seconds at most, if nobody syncs."""
        grown = (self._image.stat().st_blocks - self._blocks) * 512
        return grown < WITNESS_BYTES // 2


@contextmanager
def new_stand() -> Iterator[Stand]:
    """Make a stand, in memory where there is room: the speed of this machine's disk is no part of a cut."""
    roomy = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > 2 << 30
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="power-cuts-", dir=MEMORY if roomy else None))
        image = Path(home) / "stand.img"
        with image.open("wb") as file:
            file.truncate(STAND_BYTES)
        _run("mkfs.xfs", "-q", "-m", "reflink=1", image)
        yield Stand(stack.enter_context(_mounted(image, "xfs", ("loop", "discard"))))


def require(*tools: str) -> None:
    """Skip the test that calls this where no cut can be made or a tool is missing, with a warning that says why."""
    absent = [tool for tool in tools if shutil.which(tool) is None]
    if reason := missing() or (absent and f"no power was cut: there is no {', '.join(absent)}; apt-get install it"):
        warnings.warn(reason, stacklevel=2)
        pytest.skip(reason)


@cache
def missing() -> str | None:
    """Return in words why no power can be cut here; None where it can, which is tried."""
    if os.geteuid() != 0:
        return "no power was cut: mounting an image needs root"
    for tool, package in TOOLS.items():
        if shutil.which(tool) is None:
            return f"no power was cut: there is no {tool}; install Debian's package {package}"
    try:
        with new_stand() as stand:
            image = stand.new_image()
            image.touch()
            stand.cut(image)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", None) or error
        return f"no power was cut: no image of XFS can be mounted on a loop device or no file of it cloned ({said})"
    return None


@contextmanager
def _mounted(image: Path, kind: str, options: tuple[str, ...]) -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(prefix="power-cuts-root-"))
    try:
        _run("mount", "-t", kind, "-o", ",".join(options), image, root)
        try:
            yield root
        finally:
            _unmount(root)
    finally:
        root.rmdir()


def _unmount(root: Path) -> None:
    """Unmount; a process that another thread is just starting holds the files of this one until its program runs."""
    give_up_at = time.monotonic() + BUSY_S
    while True:
        try:
            return _run("umount", root)
        except subprocess.CalledProcessError:
            if time.monotonic() > give_up_at:  # somebody is still at work in it
                _run("umount", "--lazy", root)  # it goes away with them, and nothing of it stays on this machine
                raise
        time.sleep(0.05)


def _run(*command: str | Path) -> None:
    subprocess.run(command, capture_output=True, text=True, check=True)

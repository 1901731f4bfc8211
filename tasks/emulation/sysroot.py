"""Another machine's Python in a folder: Debian's packages and the wheels of numpy and ONNX Runtime, unpacked."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from deployments.instruction_sets import Machine
from edge_runtime.files import fsync_directory, write_synced
from tasks.errors import EmulatorError, EmulatorMissing

DEBIAN: Mapping[Machine, str] = {"aarch64": "arm64", "x86_64": "amd64"}
PACKAGES = ("python3", "libstdc++6")  # the second for ONNX Runtime
WHEELS = ("numpy", "onnxruntime")
PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux2014")
CONTENTS = "contents.txt"
UNFINISHED = ".tmp-"


@dataclass(frozen=True)
class Root:
    """A prepared folder; `digest` is that of the list of packages in it."""

    folder: Path
    digest: str

    @property
    def python(self) -> Path:
        """The interpreter."""
        return self.folder / "usr" / "bin" / "python3"

    @property
    def packages(self) -> Path:
        """The folder of numpy and ONNX Runtime."""
        return self.folder / "packages"


def root_folder(home: Path, machine: Machine) -> Path:
    """Return the folder of a machine's root, prepared or not."""
    return home / "emulators" / machine


def read_root(home: Path, machine: Machine) -> Root:
    """Read a prepared root; raises EmulatorMissing where there is none or it is for another ONNX Runtime."""
    folder = root_folder(home, machine)
    try:
        contents = (folder / CONTENTS).read_text()
    except OSError:
        reason = f"expected Python for {machine} in {folder}, got no prepared folder."
        raise EmulatorMissing(reason, "Prepare it with edgewright emulators --prepare and run again.") from None
    missing = [wheel for wheel in _pinned() if wheel not in contents.split()]
    if missing:
        reason = f"expected {', '.join(missing)} in {folder}, as on this machine, got other versions."
        raise EmulatorMissing(reason, "Prepare it anew with edgewright emulators --prepare and run again.")
    return Root(folder, hashlib.sha256(contents.encode()).hexdigest())


def prepare_root(home: Path, machine: Machine) -> Root:
    """Fetch and unpack a root with apt and pip, as any user; what was there is replaced. Raises EmulatorError."""
    folder = root_folder(home, machine)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _only_one(folder.parent):
        _prepare(folder, machine)
    return read_root(home, machine)


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Lock a folder, and remove what killed processes left in it: nobody else is at work there."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # the kernel lets go of it at a kill
        for leftover in folder.glob(f"{UNFINISHED}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        yield
    finally:
        os.close(descriptor)


def _prepare(folder: Path, machine: Machine) -> None:
    work = folder.with_name(f"{UNFINISHED}{machine}")
    made = work / "root"
    made.mkdir(parents=True)
    try:
        debs = _fetch_debs(work, DEBIAN[machine])
        for deb in debs:
            _run(["dpkg-deb", "--extract", str(deb), str(made)])
        wheels = _fetch_wheels(work, machine, (made / "usr" / "bin" / "python3").readlink().name)
        for wheel in wheels:
            zipfile.ZipFile(wheel).extractall(made / "packages")
        names = sorted(path.name for path in (*debs, *wheels))
        write_synced(made / CONTENTS, "\n".join([*_pinned(), *names, ""]).encode())
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)
        fsync_directory(folder.parent)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _pinned() -> list[str]:
    return [f"{name}=={metadata.version(name)}" for name in WHEELS]


def _fetch_debs(work: Path, architecture: str) -> list[Path]:
    """Let apt resolve and fetch for another architecture, with lists of its own; the system's stay unchanged."""
    for name in ("lists/partial", "cache/archives/partial"):
        (work / name).mkdir(parents=True)
    (work / "status").touch()
    settings = {
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "",
        "Debug::NoLocking": "true",
        "Dir::State": work,
        "Dir::State::lists": work / "lists",
        "Dir::State::status": work / "status",
        "Dir::Cache": work / "cache",
    }
    apt = ["apt-get", "--quiet", *(f"-o{name}={value}" for name, value in settings.items())]
    _run([*apt, "update"])
    _run([*apt, "install", "--yes", "--download-only", *PACKAGES])
    return sorted((work / "cache" / "archives").glob("*.deb"))


def _fetch_wheels(work: Path, machine: Machine, python: str) -> list[Path]:
    platforms = [f"--platform={name}_{machine}" for name in PLATFORMS]
    version = f"--python-version={python.removeprefix('python')}"
    pip = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--quiet", "--no-deps"]
    _run([*pip, "--only-binary=:all:", version, *platforms, f"--dest={work / 'wheels'}", *_pinned()])
    return sorted((work / "wheels").glob("*.whl"))


def _run(command: Sequence[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=900)
    except FileNotFoundError as error:
        raise EmulatorError(
            f"expected the program {command[0]}, got none; an emulator is prepared on Debian or a system like it, "
            "where apt-get and dpkg-deb are"
        ) from error
    except subprocess.CalledProcessError as error:
        said = " ".join(error.stderr.split())[-400:]
        raise EmulatorError(
            f"expected {command[0]} to fetch or unpack, got status {error.returncode}: {said}; check that the "
            "registries can be reached, then prepare again"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise EmulatorError(f"expected {command[0]} to end within 15 minutes, got no end; prepare again") from error

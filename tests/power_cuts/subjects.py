"""Subjects: programs that replace a model on a disk, and what is left of it after a power cut."""

import hashlib
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, Protocol

Version = Literal["A", "B"]
VERSIONS: tuple[Version, Version] = ("A", "B")
ROOT = Path(__file__).parents[2]
SUCCESS = "COMMITTED"
SIZES: Mapping[str, int] = {"graph.onnx": 60_000, "weights.bin": 8_000_000}
"""Files of a model of the harness's own, and their bytes."""


@dataclass(frozen=True)
class Found:
    """The version that works, None where none does; `files` says in words what is there."""

    version: Version | None
    files: str = ""


class Subject(Protocol):
    """A program that brings version B to a device on which version A works.

    `identity` changes with its code: cuts of two identities are not counted together.
    """

    @property
    def name(self) -> str:
        """The name in tables."""

    @property
    def identity(self) -> str:
        """A digest of the code under test."""

    @property
    def success(self) -> str:
        """A text that only the line has by which it reports success."""

    def prepare(self, root: Path) -> None:
        """Install version A into an empty file system; it is unmounted afterwards, so all of it is durable."""

    def command(self, root: Path) -> Sequence[str]:
        """Return the command that brings B. It is called again after a cut, and must then bring B."""

    def boot(self, root: Path) -> None:
        """Do what the device does by itself when the power is back, before it loads a model."""

    def found(self, root: Path) -> Found:
        """Find the version that works: the one that the device would load, if all its files are whole."""


class WithoutSync:
    """The mutant of a subject: the same program, under Debian's eatmydata, which makes every fsync do nothing."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self.name = f"{subject.name} under eatmydata"
        self.identity, self.success = subject.identity, subject.success
        self.prepare = subject.prepare
        self.boot = subject.boot
        self.found = subject.found

    def command(self, root: Path) -> Sequence[str]:
        """Return the subject's command with eatmydata before it."""
        return ("eatmydata", *self._subject.command(root))


@cache
def content(version: Version) -> Mapping[str, bytes]:
    """Return the files of a version: bytes that cannot be compressed, always the same."""
    source = random.Random(version)
    return {name: source.randbytes(size) for name, size in SIZES.items()}


@cache
def digests(version: Version) -> Mapping[str, str]:
    """Return the sha256 of each file of a version."""
    return {name: hashlib.sha256(data).hexdigest() for name, data in content(version).items()}


def found_in(folder: Path) -> Found:
    """Look for the files of one version in a folder: a version works where all of them are whole."""
    states = {name: _state(folder / name, name) for name in SIZES}
    (version, *others) = dict.fromkeys(states.values())
    files = ", ".join(f"{name}: {state}" for name, state in states.items())
    return Found(version if version in VERSIONS and not others else None, files)


def digest_of_files(*paths: Path) -> str:
    """Return one digest of the content of files."""
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()[:16]


def run(command: Sequence[str]) -> None:
    """Run a subject's command undisturbed; raises CalledProcessError."""
    subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)


def python(module: str, *arguments: str | Path) -> Sequence[str]:
    """Return the command that runs a module of these tests."""
    return (sys.executable, "-m", module, *map(str, arguments))


def _state(path: Path, name: str) -> str:
    try:
        data = path.read_bytes()
    except OSError:
        return "missing"
    digest = hashlib.sha256(data).hexdigest()
    whole = [version for version in VERSIONS if digests(version)[name] == digest]
    return whole[0] if whole else "damaged" if data else "empty"

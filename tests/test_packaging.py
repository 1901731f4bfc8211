"""Packages and releases: every package says that it is typed, every version has its changes."""

import re
import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from edge_runtime.bundle import RuntimeRange

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
RUNTIME = tomllib.loads((ROOT / "edge_runtime" / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = [pattern.rstrip("*") for pattern in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]]
VERSIONS = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_says_that_it_is_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()
    assert any(fnmatch("py.typed", pattern) for pattern in PROJECT["tool"]["setuptools"]["package-data"]["*"])


def test_the_version_is_written_in_one_place() -> None:
    assert "version" in PROJECT["project"]["dynamic"]
    assert "version" not in PROJECT["project"]
    assert any(need.startswith("setuptools-scm==") for need in PROJECT["build-system"]["requires"])


def test_the_runtimes_wheel_has_the_projects_version_and_ranges() -> None:
    runtime, needs = RUNTIME["project"], PROJECT["project"]["dependencies"]
    assert runtime["dynamic"] == ["version"] and RUNTIME["build-system"] == PROJECT["build-system"]
    told = dict(RUNTIME["tool"]["setuptools_scm"])
    assert told.pop("root") == ".." and told == PROJECT["tool"]["setuptools_scm"]
    assert runtime["requires-python"] == PROJECT["project"]["requires-python"]
    numpy, onnxruntime = runtime["dependencies"]
    assert numpy in needs
    (pinned,) = (need.partition("==")[2] for need in needs if need.startswith("onnxruntime=="))
    accepted = RuntimeRange.measured_with(pinned)
    assert onnxruntime == f"onnxruntime>={accepted.at_least},<{accepted.below}"


def test_the_runtimes_extras_are_what_the_tests_run_with() -> None:
    extras = RUNTIME["project"]["optional-dependencies"]
    here = [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"]["dev"]]
    assert set(extras) == {"report", "serve", "update"} and {
        need for needs in extras.values() for need in needs
    } <= set(here)


def test_the_runtimes_wheel_can_be_built_here() -> None:
    assert set(PROJECT["build-system"]["requires"]) <= set(PROJECT["project"]["optional-dependencies"]["dev"])


def test_the_runtimes_wheel_carries_the_licence() -> None:
    assert (ROOT / "edge_runtime" / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_changes_are_listed_from_the_newest_version_on() -> None:
    assert VERSIONS[0] == "Unreleased"
    released = [re.fullmatch(r"(\d+)\.(\d+)\.(\d+) - \d{4}-\d\d-\d\d", version) for version in VERSIONS[1:]]
    numbers = [tuple(map(int, found.groups())) for found in released if found]
    assert len(numbers) == len(released)
    assert numbers == sorted(set(numbers), reverse=True)


def test_every_tag_has_its_changes() -> None:
    git = subprocess.run(["git", "tag", "--list", "v[0-9]*"], cwd=ROOT, capture_output=True, text=True, check=False)
    if git.returncode:
        pytest.skip("no clone: git knows no tags here")
    assert {tag.removeprefix("v") for tag in git.stdout.split()} <= {version.split()[0] for version in VERSIONS}

"""Packages and releases: every package says that it is typed, every version has its changes."""

import re
import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
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

"""Programs are found beside Python or on the PATH."""

import os
import sys
from pathlib import Path

import pytest

from flows.services.programs import with_path


@pytest.fixture
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Folders of an installation for the whole system: one with Python, and one on the PATH, with a program in each."""
    python, programs = tmp_path / "python", tmp_path / "programs"
    for folder, name in ((python, "prefect"), (programs, "mlflow")):
        folder.mkdir()
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python / "python3"))
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return python, programs


def test_a_program_beside_python_comes_before_one_on_the_path(apart: tuple[Path, Path]) -> None:
    python, programs = apart
    (programs / "prefect").write_text("another")
    assert with_path(("prefect", "server", "start")) == [str(python / "prefect"), "server", "start"]


def test_a_program_in_another_folder_is_found_on_the_path(apart: tuple[Path, Path]) -> None:
    assert with_path(("mlflow", "server")) == [str(apart[1] / "mlflow"), "server"]


@pytest.mark.usefixtures("apart")
def test_a_program_that_is_nowhere_keeps_its_name() -> None:
    assert with_path(("edgewright-is-not-here",)) == ["edgewright-is-not-here"]

"""Another machine's Python: what was prepared is known again, and what is missing is said."""

from pathlib import Path

import pytest

from tasks.emulation import sysroot as module
from tasks.emulation.sysroot import CONTENTS, prepare_root, read_root, root_folder
from tasks.errors import EmulatorError, EmulatorMissing


def written(home: Path, *lines: str) -> Path:
    folder = root_folder(home, "aarch64")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONTENTS).write_text("\n".join(lines) + "\n")
    return folder


def test_a_prepared_root_is_known_by_its_packages(tmp_path: Path) -> None:
    folder = written(tmp_path, *module._pinned(), "libc6_2.36_arm64.deb")
    first = read_root(tmp_path, "aarch64")
    assert first.folder == folder and first.python == folder / "usr" / "bin" / "python3"
    assert read_root(tmp_path, "aarch64") == first
    written(tmp_path, *module._pinned(), "libc6_2.37_arm64.deb")
    assert read_root(tmp_path, "aarch64").digest != first.digest


def test_a_root_that_is_not_there_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(EmulatorMissing, match=r"no prepared folder\. Prepare it with edgewright emulators --prepare"):
        read_root(tmp_path, "aarch64")


def test_a_root_with_another_onnx_runtime_is_not_used(tmp_path: Path) -> None:
    written(tmp_path, "numpy==1.0", "onnxruntime==1.0")
    with pytest.raises(
        EmulatorMissing, match=r"expected numpy==.*, onnxruntime==.* got other versions\. Prepare it anew"
    ):
        read_root(tmp_path, "aarch64")


def test_without_apt_nothing_is_left_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EmulatorError, match="expected the program apt-get, got none"):
        prepare_root(tmp_path / "home", "aarch64")
    assert list((tmp_path / "home" / "emulators").iterdir()) == []


def test_a_registry_that_refuses_keeps_what_was_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "apt-get").write_text("#!/bin/sh\necho 'E: no such release' >&2\nexit 100\n")
    (tmp_path / "apt-get").chmod(0o755)
    before = written(tmp_path, *module._pinned())
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EmulatorError, match="got status 100: E: no such release; check that the registries"):
        prepare_root(tmp_path, "aarch64")
    assert list((tmp_path / "emulators").iterdir()) == [before]


def test_what_a_killed_preparation_left_is_removed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    leftover = tmp_path / "emulators" / ".tmp-aarch64-0a1b" / "cache"
    leftover.mkdir(parents=True)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EmulatorError):
        prepare_root(tmp_path, "aarch64")
    assert not leftover.parent.exists()

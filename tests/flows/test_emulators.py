"""`edgewright emulators`: what can be emulated here, and what is fetched for it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from deployments.instruction_sets import CPUS
from flows import cli, emulated_cpus
from tasks.emulation.sysroot import CONTENTS, Root, _pinned, root_folder

WIDE = {"COLUMNS": "300"}


def test_every_cpu_is_listed_with_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    shown = CliRunner().invoke(cli.app, ["emulators"], env=WIDE)
    assert shown.exit_code == 0
    assert all(name in shown.output for name in CPUS)
    assert shown.output.count("  expected qemu-") == len(CPUS)


def test_what_is_prepared_is_not_fetched_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cli, "HOME", tmp_path)
    monkeypatch.setattr("flows.emulated_cpus.platform.machine", lambda: "x86_64")
    fetched: list[str] = []

    def fetch(home: Path, machine: str) -> Root:
        fetched.append(machine)
        folder = root_folder(home, "aarch64")
        folder.mkdir(parents=True)
        (folder / CONTENTS).write_text("\n".join(_pinned()))
        return Root(folder, "digest")

    monkeypatch.setattr(emulated_cpus, "prepare_root", fetch)
    for _ in range(2):
        shown = CliRunner().invoke(cli.app, ["emulators", "--prepare"], env=WIDE)
        assert shown.exit_code == 0, shown.output
        assert f"aarch64: {root_folder(tmp_path, 'aarch64')}" in shown.output
    assert fetched == ["aarch64"]

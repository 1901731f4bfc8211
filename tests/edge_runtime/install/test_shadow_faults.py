"""Kills and errors of the disk while a shadow comes: what runs goes on running, and once more makes it whole."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge_runtime.install import running, shadow_choice
from edge_runtime.install.state import read_state
from tests.edge_runtime.install.carried import MODEL
from tests.edge_runtime.install.conftest import Site

FAULTS = ("signal=SIGKILL", "error=EIO", "error=ENOSPC")
pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="Debian's package strace is not installed")


def shadowed(site: Site, carried: Path, manifest: Path, *strace: str) -> tuple[int, list[str]]:
    """Install the shadow under strace; return the exit code and the lines of the log."""
    log = site.folder / "strace.log"
    command = ["strace", "-o", str(log), "-e", "trace=rename,fsync,write", *strace, sys.executable, "-m",
               "tests.edge_runtime.install.installing", str(site.store.root), str(carried), str(manifest),
               "shadow"]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    ended = subprocess.run(command, env=environment, capture_output=True, timeout=120, check=False)
    return ended.returncode, log.read_text(errors="replace").splitlines()


def copied(site: Site, name: str) -> Site:
    shutil.copytree(site.store.root, site.folder / name / "device")
    return Site(site.folder / name)


def test_a_sample_of_faults_leaves_what_runs_and_what_was_the_shadow(site: Site) -> None:
    first, second = site.carry(1), site.carry(2)
    site.install(first)
    before = read_state(site.store.root, MODEL)
    manifest = site.folder / "second.json"
    manifest.write_bytes(second.data)
    code, lines = shadowed(copied(site, "whole"), second.root, manifest)
    assert code == 0
    begun = next(at for at, line in enumerate(lines) if '"BEGIN' in line)
    calls = [line.partition("(")[0] for line in lines]
    numbered = [(name, calls[: at + 1].count(name)) for at, name in enumerate(calls) if at > begun and "+" not in name]
    tried = [each for each in numbered if each[0] in ("rename", "fsync", "write")][:: max(1, len(numbered) // 7)]
    assert len(tried) >= 6
    for at, (name, number) in enumerate(tried):
        fault = FAULTS[at % 3]
        cut = copied(site, f"cut-{at}")
        code, lines = shadowed(cut, second.root, manifest, "-e", f"inject={name}:{fault}:when={number}")
        assert code in (137, -9) if fault.startswith("signal") else any(line.endswith("(INJECTED)") for line in lines)
        assert running(cut.store, MODEL).bundle.digest == first.digest
        state = read_state(cut.store.root, MODEL)
        assert (state.current, state.previous, state.refused) == (before.current, before.previous, ())
        assert shadowed(cut, second.root, manifest)[0] == 0
        choice = shadow_choice(cut.store, MODEL)
        assert choice is not None and choice.digest == second.digest
        assert cut.store.is_complete(MODEL, second.digest) and cut.store.is_complete(MODEL, first.digest)

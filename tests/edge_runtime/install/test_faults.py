"""Faults at each call that changes the disk: a kill, an error of the disk, a full disk. A working model always stays.

strace injects them into a real process, so no code knows of them.
"""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge_runtime.install import running
from edge_runtime.install.state import read_state
from tests.edge_runtime.install.carried import MODEL, Carried
from tests.edge_runtime.install.conftest import QUICK, Site

CALLS = ("rename", "unlink", "unlinkat", "rmdir", "mkdir", "fsync", "write", "fchmod", "chmod", "openat")
FAULTS = ("signal=SIGKILL", "error=EIO", "error=ENOSPC")
pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="Debian's package strace is not installed")


@dataclass(frozen=True)
class Call:
    """The call of a name with this number in its process, counted from 1."""

    name: str
    number: int


@dataclass
class Prepared:
    """A device on which the first bundle runs, and the second one that is carried to it; each fault gets a copy."""

    site: Site
    first: Carried
    second: Carried
    manifest: Path
    tuned: bool
    made: int = 0

    def copy(self) -> Site:
        self.made += 1
        folder = self.site.folder / f"copy-{self.made}"
        shutil.copytree(self.site.store.root, folder / "device")
        return Site(folder)

    def run(self, site: Site, *strace: str) -> tuple[int, list[str]]:
        """Install the second bundle under strace; return the exit code and the lines of the log."""
        log = site.folder / "strace.log"
        command = ["strace", "-o", str(log), "-e", f"trace={','.join(CALLS)}", *strace, sys.executable, "-m",
                   "tests.edge_runtime.install.installing", str(site.store.root), str(self.second.root),
                   str(self.manifest), *(["tuned"] if self.tuned else [])]  # fmt: skip
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
        ended = subprocess.run(command, env=environment, capture_output=True, timeout=120, check=False)
        return ended.returncode, log.read_text(errors="replace").splitlines()

    def calls(self) -> Iterator[Call]:
        """Yield the calls that change the disk, from the begin of the install to its commit."""
        code, lines = self.run(self.copy())
        assert code == 0
        counted, begun = Counter[str](), False
        for line in lines:
            name = line.partition("(")[0]
            if name not in CALLS:
                continue
            counted[name] += 1
            if begun and (name != "openat" or "O_CREAT" in line):
                yield Call(name, counted[name])
            begun |= '"BEGIN' in line


def prepared(site: Site, *, tuned: bool) -> Prepared:
    first, second = site.carry(1), site.carry(2)
    site.install(site.carry(0))
    site.install(first)
    manifest = site.folder / "second.json"
    manifest.write_bytes(second.data)
    return Prepared(site, first, second, manifest, tuned)


def check_fault(device: Prepared, call: Call, fault: str) -> bool:
    """Inject one fault, and check what is left; return whether it fired at a call that changes the disk.

    How often a process waits for the lock of measurements, and so how many calls it makes, is not its own choice.
    """
    site = device.copy()
    code, lines = device.run(site, "-e", f"inject={call.name}:{fault}:when={call.number}")
    if fault.startswith("signal"):
        fired = code in (137, -9)
    else:
        injected = [line for line in lines if line.endswith("(INJECTED)")]
        fired = bool(injected) and (call.name != "openat" or "O_CREAT" in injected[0])
    runs = running(site.store, MODEL).bundle.digest
    assert runs in (device.first.digest, device.second.digest), (call, fault)
    state = read_state(site.store.root, MODEL)
    assert state.reason_against(device.second.digest) is None, "a fault of the disk says nothing about the bundle"
    code, _ = device.run(site)
    assert code == 0, (call, fault)
    assert running(site.store, MODEL).bundle.digest == device.second.digest
    _check_clean(site, device)
    shutil.rmtree(site.folder)
    return fired


def _check_clean(site: Site, device: Prepared) -> None:
    """Check that the store has what both bundles need, and nothing else."""
    kept = [site.store.identified(MODEL, each.digest).manifest for each in (device.first, device.second)]
    blobs = {blob.sha256 for manifest in kept for blob in manifest.blobs}
    files = {path for path in site.files() if not path.startswith("tuned/")}
    manifests = {f"targets/camera/gateway/{each.digest}.manifest.json" for each in (device.first, device.second)}
    expected = {f"blobs/{sha256}" for sha256 in blobs} | manifests
    left = {path for path in files - expected if not re.fullmatch(r"models/camera\.json(\.copy)?|install\.lock", path)}
    assert not [path for path in left if not path.endswith(".part")], left
    assert expected <= files


def test_a_sample_of_faults_leaves_a_working_model(site: Site) -> None:
    """One kill and one error at each kind of call that the commit stands on; test-slow tries all of them."""
    device = prepared(site, tuned=False)
    calls = [call for call in device.calls() if call.name in ("rename", "fsync", "write")]
    tried = calls[:: max(1, len(calls) // 7)]
    assert len(tried) >= 6
    for number, call in enumerate(tried):
        assert check_fault(device, call, FAULTS[number % 3]), f"the fault at {call} did not fire"


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("tuned", [False, True])
def test_a_fault_at_every_call_leaves_a_working_model(site: Site, tuned: bool, fault: str) -> None:
    device = prepared(site, tuned=tuned)
    calls = list(device.calls())
    assert len(calls) > 40
    fired = [check_fault(device, call, fault) for call in calls]
    assert sum(fired) >= 0.9 * len(fired)


def test_a_store_that_was_never_cut_is_clean(site: Site) -> None:
    device = prepared(site, tuned=False)
    site.install(device.second, QUICK)
    _check_clean(site, device)

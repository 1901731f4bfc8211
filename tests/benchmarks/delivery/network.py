"""The update agent over a network: requests and bytes when nothing is new, bytes after kills, and its own memory.

The real program of a device, `python -m edge_runtime update`, fetches a bundle of 100 MB from a server on this machine.
"""

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edge_runtime.configuration import NetworkSettings
from edge_runtime.errors import UpdateError
from edge_runtime.update import DailyTraffic, HttpCarrier, Politeness
from tests.benchmarks.delivery.install_time import large_model
from tests.benchmarks.record import ROOT, Figure
from tests.edge_runtime.install.carried import DEVICE, MODEL, carry
from tests.edge_runtime.trust.repositories import SignedRepository
from tests.edge_runtime.update.clocks import FakeClock
from tests.edge_runtime.update.loopback_server import LoopbackServer, running_server

KILLS = 10
MIB = 1 << 20
LONGEST_S = 900


@dataclass
class Site:
    """A device, and the server that it updates from."""

    root: Path
    server: LoopbackServer
    repository: SignedRepository

    @classmethod
    def new(cls, root: Path, server: LoopbackServer) -> "Site":
        """Make a repository with a bundle of 100 MB, and a device that has nothing."""
        repository = SignedRepository(root / "repository", now=datetime.now(UTC))
        site = cls(root, server, repository)
        site.publish(1)
        (root / "root.json").write_bytes(repository.shipped)
        keys = {"device": DEVICE, "url": server.url, "state": root / "state", "root": root / "root.json"}
        lines = [f'models = ["{MODEL}"]', *(f'{key} = "{value}"' for key, value in keys.items()),
                 "[trial]", "memory_mb = 4000", "time_s = 600", "[tuning]", "graph = false"]  # fmt: skip
        (root / "device.toml").write_text("\n".join(lines) + "\n")
        return site

    def publish(self, seed: int) -> None:
        """Publish a bundle, and serve every file of the repository."""
        files = large_model(self.root / f"large-{seed}", seed)
        carried = carry(self.repository.folder, self.root / "made", seed, files=files)
        self.repository.publish(carried.data, MODEL, DEVICE)
        folder = self.repository.folder
        self.server.files = {
            str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()
        }

    @property
    def bundle_bytes(self) -> int:
        """The bytes of all blobs that are served."""
        return sum(len(data) for path, data in self.server.files.items() if path.startswith("blobs/"))

    def update(self) -> subprocess.Popen[bytes]:
        """Start the agent."""
        command = [sys.executable, "-m", "edge_runtime", "update", "--config", str(self.root / "device.toml")]
        return subprocess.Popen(command, cwd=ROOT, env=os.environ | {"no_proxy": "*"}, stdout=subprocess.DEVNULL)

    def updated(self) -> None:
        """Run the agent to its end, which must be a good one."""
        with self.update() as process:
            if process.wait(LONGEST_S) != 0:
                raise RuntimeError(f"the agent ended with {process.returncode}")


def figures(root: Path) -> list[Figure]:
    """Return the figures of a device that is killed while it updates, and of one that is up to date."""
    with running_server() as server:
        site = Site.new(root, server)
        fetched, bundle = _killed(site), site.bundle_bytes
        server.asked.clear()
        before = server.sent
        site.updated()
        requests, sent = len(server.asked), server.sent - before
        site.publish(2)
        private = _private_mb(site)
        asked = _asked_in_an_hour(root, server.url, server)
    bare = _peak_private_mb([sys.executable, "-c", "import time; time.sleep(2)"])
    return [
        Figure("nothing new: requests", requests, 2, "", "at_most"),
        Figure("nothing new: bytes of bodies", sent / 1000, 20, "kB", "at_most"),
        Figure("a file that is not there (404): most requests in an hour, asked for each minute", asked, 5, "",
               "at_most"),
        Figure(f"killed {KILLS} times: bytes fetched, less 1 MiB a kill, to those of the bundle",
               (fetched - KILLS * MIB) / bundle, 1.0, "x", "at_most"),
        Figure("memory of the agent while it updates, private, beyond an interpreter", private - bare, 40, "MB",
               "at_most"),
    ]  # fmt: skip


def _asked_in_an_hour(root: Path, url: str, server: LoopbackServer) -> int:
    """Ask for a path each minute of three hours by a clock that is moved; return the most requests in one of them."""
    clock, at = FakeClock(), list[float]()
    for minute in range(180):
        traffic = DailyTraffic(root / "traffic.json", None)
        carrier = HttpCarrier(url, NetworkSettings(proxy=""), traffic, Politeness(root / "politeness.json", clock.now))
        before = len(server.asked)
        with suppress(UpdateError):
            carrier("targets/nowhere", 1000)
        at += [float(minute)] * (len(server.asked) - before)
        carrier.close()
        clock.passes(60)
    return max(sum(start <= minute < start + 60 for minute in at) for start in at)


def _killed(site: Site) -> int:
    """Kill the agent at random bytes, and let it end once; return the bytes of blobs that were sent."""
    chance = random.Random(15)
    moments = sorted(chance.randrange(MIB, site.bundle_bytes) for _ in range(KILLS))
    for moment in moments:
        with site.update() as process:

            def kill(sent: int, moment: int = moment, process: subprocess.Popen[bytes] = process) -> None:
                if sent >= moment:
                    process.kill()

            site.server.on_sent = kill
            if process.wait(LONGEST_S) != -9:
                raise RuntimeError("a kill did not come")
    site.server.on_sent = lambda _: None
    site.updated()
    return site.server.sent


def _private_mb(site: Site) -> float:
    """Return the highest private memory of the agent in an update, in MB."""
    command = [sys.executable, "-m", "edge_runtime", "update", "--config", str(site.root / "device.toml")]
    return _peak_private_mb(command)


def _peak_private_mb(command: Sequence[str]) -> float:
    peak, over = [0.0], threading.Event()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:

        def watch() -> None:
            while not over.is_set():
                with suppress(OSError, ValueError):
                    lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
                    found = sum(int(line.split()[1]) for line in lines if line.startswith("Private"))
                    peak[0] = max(peak[0], found / 1024)
                time.sleep(0.02)

        watcher = threading.Thread(target=watch)
        watcher.start()
        process.wait(LONGEST_S)
        over.set()
        watcher.join()
    return peak[0]

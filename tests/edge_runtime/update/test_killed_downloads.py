"""A process that downloads is killed at random bytes and started again; only what was under way is fetched twice."""

import hashlib
import random
import subprocess
import sys
from pathlib import Path

from tests.edge_runtime.homes import environment
from tests.edge_runtime.update.loopback_server import LoopbackServer

SIZE = 12_000_000
KILLS = 4
DOWNLOADING = """
import sys
from pathlib import Path
from edge_runtime.configuration import NetworkSettings
from edge_runtime.update import (BlobFetching, DailyTraffic, HttpCarrier, Politeness, RefusedDeltas)
from tests.edge_runtime.update.offers import Blob

url, folder, sha256, size = sys.argv[1:]
state = Path(folder)
traffic, politeness = DailyTraffic(state / "traffic.json", 50_000_000), Politeness(state / "politeness.json")
carrier = HttpCarrier(url, NetworkSettings(proxy="", bytes_per_day=50_000_000), traffic, politeness)
BlobFetching(carrier, state / "blobs", RefusedDeltas(state / "refused.json")).fetch([Blob(sha256, int(size))], [])
carrier.close()
"""


def test_kills_at_random_bytes_cost_a_mebibyte_each_at_most(server: LoopbackServer, tmp_path: Path, home: Path) -> None:
    rng = random.Random(1)
    data = rng.randbytes(SIZE)
    sha256 = hashlib.sha256(data).hexdigest()
    server.files[f"blobs/{sha256}"] = data
    (tmp_path / "blobs").mkdir()
    moments = [int((kill + rng.random()) * SIZE / KILLS) for kill in range(KILLS)]  # in bytes sent
    command = [sys.executable, "-c", DOWNLOADING, server.url, str(tmp_path), sha256, str(SIZE)]

    for moment in moments:
        with subprocess.Popen(command, env=environment(home)) as process:

            def kill(sent: int, moment: int = moment, process: subprocess.Popen[bytes] = process) -> None:
                if sent >= moment:
                    process.kill()

            server.on_sent = kill
            assert process.wait(60) == -9, "the kill did not come"
        assert not (tmp_path / "blobs" / sha256).exists()

    server.on_sent = lambda _: None
    subprocess.run(command, env=environment(home), check=True, timeout=60)
    assert (tmp_path / "blobs" / sha256).read_bytes() == data
    assert [path.name for path in (tmp_path / "blobs").iterdir()] == [sha256]
    assert server.sent <= SIZE + KILLS * (1 << 20)
    assert len(server.asked) >= KILLS + SIZE // (1 << 20)

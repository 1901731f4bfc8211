"""Load over HTTP by Debian's `wrk`: a few connections that ask again as soon as they are answered."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.errors import MeasurementFailed

_SCRIPT = """
wrk.method = "POST"
local file = io.open("{body}", "rb")
wrk.body = file:read("*a")
file:close()
{headers}
done = function(summary, latency, requests)
  local wrong = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status
  io.write(string.format('RESULT {{"requests": %d, "us": %d, "wrong": %d, "p50": %f, "p99": %f}}\\n', summary.requests,
    summary.duration, wrong + summary.errors.timeout, latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True)
class Load:
    """A run of load: answers per second, milliseconds of the median and the 99th percentile, and what failed."""

    per_second: float
    p50_ms: float
    p99_ms: float
    failed: int


def put_load_on(url: str, body: bytes, headers: dict[str, str], connections: int, seconds: float, folder: Path) -> Load:
    """Ask with the same body over and over. Raises MeasurementFailed without `wrk`, and where nothing is answered."""
    if shutil.which("wrk") is None:
        raise MeasurementFailed("expected the program wrk of Debian's package wrk, got none; install it")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "body").write_bytes(body)
    lines = "\n".join(f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in headers.items())
    (folder / "load.lua").write_text(_SCRIPT.format(body=folder / "body", headers=lines))
    command = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{seconds:g}s",
        "--timeout",
        "30s",
        "-s",
        str(folder / "load.lua"),
        url,
    ]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 120).stdout
    (line,) = (each for each in printed.splitlines() if each.startswith("RESULT "))
    told = json.loads(line.removeprefix("RESULT "))
    if not told["requests"] or told["requests"] == told["wrong"]:
        raise MeasurementFailed(f"expected answers of {url}, got none: {printed}")
    per_second = (told["requests"] - told["wrong"]) / told["us"] * 1e6
    return Load(per_second, told["p50"] / 1e3, told["p99"] / 1e3, told["wrong"])

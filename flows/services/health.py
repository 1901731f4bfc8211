"""Health of a server: `python -m flows.services.health ADDRESS [PROCESS]` returns once it answers, or has ended."""

import http.client
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

ANSWER_S = 5.0
START_S = 300.0
LOOK_S = 0.5


def is_healthy(address: str) -> bool:
    """Tell whether a server of this machine answers with 200 within 5 seconds; no proxy is asked."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=ANSWER_S)
    try:
        connection.request("GET", parts.path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def main(address: str, process: int | None = None, seconds: float = START_S) -> int:
    """Wait until a server is healthy; the exit code is 1 where it is not in time, or its process has ended."""
    deadline = time.monotonic() + seconds
    while not is_healthy(address):
        if process is not None and not Path(f"/proc/{process}").exists():
            sys.stderr.write(f"{address}: expected process {process} to serve it, got its end; see the server's log\n")
            return 1
        if time.monotonic() > deadline:
            sys.stderr.write(f"{address}: expected an answer within {seconds:g} s, got none; see the server's log\n")
            return 1
        time.sleep(LOOK_S)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], *map(int, sys.argv[2:3])))

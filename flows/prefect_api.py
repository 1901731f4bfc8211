"""The Prefect API that flows of the command line talk to: the user's own, or one that lives as long as this process."""

import atexit
import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from flows.environment import EMBEDDED_API
from tasks.errors import SystemFailure

SERVER = Path(__file__).with_name("prefect_server.py")
LOG = "server.log"
START_S = 300.0
STOP_S = 10.0
OF_A_CHILD = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}
"""Variables that Prefect sets for a server of a single process: no pages, and only the services that runs need."""


def start_prefect() -> Callable[[], None]:
    """Start a Prefect API in the background, unless PREFECT_API_URL names one; return a function that waits for it.

    Call it before Prefect is imported, and import what takes long between both calls. The function raises SystemFailure
    where the API does not answer within 5 minutes.
    """
    if os.environ.get("PREFECT_API_URL"):
        return lambda: None
    server = _Server(Path(os.environ["PREFECT_HOME"]))
    os.environ["PREFECT_API_URL"] = os.environ[EMBEDDED_API] = server.address
    return server.wait


class _Server:
    """A child process with an inherited socket that listens from the beginning, so that no other takes the port."""

    def __init__(self, home: Path) -> None:
        self.log = home / LOG
        with socket.create_server(("127.0.0.1", 0)) as listening, self.log.open("ab") as log:
            self.port = int(listening.getsockname()[1])
            log.truncate(0)
            self.process = subprocess.Popen(
                [sys.executable, "-P", str(SERVER), str(os.getpid()), str(listening.fileno())],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=_environment(),
                pass_fds=[listening.fileno()],
                start_new_session=True,  # Ctrl-C is for the run, which still has to tell the API
            )
        atexit.register(self._stop)  # before Prefect is imported, so after all that Prefect does at the exit

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    def wait(self) -> None:
        """Return as soon as the API is healthy. Raises SystemFailure."""
        deadline = time.monotonic() + START_S
        while not self._is_healthy(deadline):
            code = self.process.poll()
            if code is not None or time.monotonic() > deadline:
                state = "no answer" if code is None else f"its end with exit code {code}"
                raise SystemFailure(
                    f"Prefect's embedded server: expected it to be healthy within {START_S:g} s, got {state}"
                    f"{self._last_words()}; see {self.log}, or set PREFECT_API_URL to a server of your own"
                )
            time.sleep(0.05)

    def _is_healthy(self, deadline: float) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=max(deadline - time.monotonic(), 0.1))
        try:
            connection.request("GET", "/api/health")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _last_words(self) -> str:
        lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return f" ({lines[-1][:200]})" if lines else ""

    def _stop(self) -> None:
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _environment() -> dict[str, str]:
    """Return the variables of the server: not the API's own address, and nothing of MLflow, such as a password."""
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_") and key != "PREFECT_API_URL"
    }
    return kept | OF_A_CHILD

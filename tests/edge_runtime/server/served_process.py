"""The real serving process on a free loopback port, as a service manager would run it."""

import json
import queue
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tests.edge_runtime.device.operated_device import device_environment

LONGEST_S = 120.0


@dataclass
class ServedProcess:
    """`python -m edge_runtime serve` with some words, as a context manager; it is killed at the end if it still runs.

    `notes` are what it told the service manager, `lines` the objects that it logged.
    """

    words: tuple[str | Path, ...]
    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    lines: list[dict[str, Any]] = field(default_factory=list)
    notes: "queue.Queue[str]" = field(default_factory=queue.Queue)
    port: int = 0

    def __enter__(self) -> Self:
        self._manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address = str(self.folder / "notify")
        self._manager.bind(address)
        command = [sys.executable, "-P", "-m", "edge_runtime", "serve", "--port", "0", *self.words]
        variables = {**device_environment(), "NOTIFY_SOCKET": address, **self.variables}
        # A session of its own, as a service has: the scheduler shares the CPU out by sessions.
        self.process = subprocess.Popen(
            command, env=variables, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        self._listening, self._logged = threading.Event(), threading.Condition()
        self._threads = [threading.Thread(target=each, daemon=True) for each in (self._read, self._listen)]
        for thread in self._threads:
            thread.start()
        assert self._listening.wait(LONGEST_S) and self.port, self.lines
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._threads[0].join()
        self._manager.close()

    @property
    def address(self) -> str:
        """The host and the port."""
        return f"127.0.0.1:{self.port}"

    def get(self, path: str) -> httpx.Response:
        """Ask for a path."""
        return httpx.get(f"http://{self.address}{path}", timeout=LONGEST_S)

    def wait_for_note(self, text: str) -> None:
        """Wait until the process tells the service manager a line."""
        while text not in self.notes.get(timeout=LONGEST_S).split("\n"):
            pass

    def wait_for_line(self, message: str) -> dict[str, Any]:
        """Return the first line with a message, once it is logged: a note may come before the line that tells it."""
        with self._logged:
            assert self._logged.wait_for(lambda: self._said(message), LONGEST_S), self.lines
        return self._said(message)[0]

    def _said(self, message: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["message"] == message]

    def end(self) -> int:
        """Send SIGTERM and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(LONGEST_S)
        self._threads[0].join()
        return code

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._logged:
                self.lines.append(json.loads(line))
                self._logged.notify_all()
            if self.lines[-1]["message"] == "listening":
                self.port = self.lines[-1]["port"]
                self._listening.set()
        self._listening.set()

    def _listen(self) -> None:
        while True:
            try:
                self.notes.put(self._manager.recv(4096).decode())
            except OSError:
                return

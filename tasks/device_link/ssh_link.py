"""The link: `ssh` as a process, whose streams are read and written within bounds of time and size."""

import os
import select
import shlex
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from deployments.device import OverSsh
from edge_runtime.errors import MeasurementInterrupted

STALLED_S = 60.0
"""Seconds in which not one byte can be sent after which a link counts as broken."""
_TAIL = 4096
_CHUNK = 1 << 16
_MOST_CHUNKS = 16  # of stderr at a time: a device may write there without end
_GRACE_S, _LAST_WORDS_S = 5.0, 2.0
_ALIVE_TRIES = 3
REMOTE = ("-P", "-m", "edge_runtime.remote")


def ssh_command(how: OverSsh) -> list[str]:
    """Return the command that starts the device's end: no questions, no unknown host key, nothing forwarded.

    ssh notices by itself where the other side is gone, and ends.
    """
    settings = {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "yes",
        "ConnectTimeout": how.connect_timeout_s,
        "ConnectionAttempts": 1,
        "ServerAliveInterval": max(1, how.connect_timeout_s // _ALIVE_TRIES),
        "ServerAliveCountMax": _ALIVE_TRIES,
        "ClearAllForwardings": "yes",
        "ForwardAgent": "no",
        "ForwardX11": "no",
        "PermitLocalCommand": "no",
        "ControlMaster": "no",
        "RequestTTY": "no",
        "EscapeChar": "none",
        "LogLevel": "ERROR",
    }
    if how.known_hosts_file is not None:
        settings["UserKnownHostsFile"] = _path(how.known_hosts_file)
        settings["GlobalKnownHostsFile"] = "/dev/null"
    if how.identity_file is not None:
        settings["IdentitiesOnly"] = "yes"
    command = ["ssh", *(f"-o{name}={value}" for name, value in settings.items())]
    if how.identity_file is not None:
        command += ["-i", str(Path(how.identity_file).expanduser()).replace("%", "%%")]
    if how.user is not None:
        command += ["-l", how.user]
    if how.port is not None:
        command += ["-p", str(how.port)]
    return [*command, "--", how.host, shlex.join(["exec", how.python, *REMOTE])]


def _path(text: str) -> str:
    """Return a path in the form of ssh's options, where a blank would end it and % is no plain character."""
    return '"' + str(Path(text).expanduser()).replace("%", "%%") + '"'


class SshLink:
    """A connection to a device's end, as long as the `with` block lasts.

    Every method raises MeasurementInterrupted, with what ssh said, where the connection cannot be made or breaks.
    """

    def __init__(self, host: str, command: Sequence[str]) -> None:
        self._host = host
        self._said = b""
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
            )
        except OSError as error:
            raise MeasurementInterrupted(
                f"{host}: expected to start ssh, got {error}; install openssh-client"
            ) from error
        pipes = (self._process.stdin, self._process.stdout, self._process.stderr)
        self._in, self._out, self._err = (pipe.fileno() for pipe in pipes if pipe is not None)
        for descriptor in (self._in, self._out, self._err):
            os.set_blocking(descriptor, False)
        self._deadline = time.monotonic()

    def __enter__(self) -> "SshLink":
        return self

    def __exit__(self, *_: object) -> None:
        """End the connection: the device's end goes with it."""
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:  # nobody reads what was still to be written
                    continue
        try:
            self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def allow(self, seconds: float) -> None:
        """Set how long the reads and writes from now on may take together."""
        self._deadline = time.monotonic() + seconds

    def read(self, most: int) -> bytes:
        """Return 1 to `most` bytes of the device."""
        while True:
            if self._out in self._ready(self._out, select.POLLIN, self._deadline):
                try:
                    found = os.read(self._out, min(most, _CHUNK))
                except BlockingIOError:
                    continue
                if not found:
                    raise self.broken("the connection ended", ended=True)
                return found

    def write(self, data: bytes) -> None:
        """Write all of the data; it is the device's turn to read."""
        left = memoryview(data)
        while left:
            deadline = min(self._deadline, time.monotonic() + STALLED_S)
            if self._in in self._ready(self._in, select.POLLOUT, deadline):
                try:
                    left = left[os.write(self._in, left[:_CHUNK]) :]
                except BlockingIOError:
                    continue
                except OSError as error:
                    raise self.broken("the connection ended", ended=True) from error

    def broken(self, what: str, *, ended: bool = False) -> MeasurementInterrupted:
        """Return the error of this connection, with the end of what ssh and the device said on stderr."""
        self._read_errors()
        if ended:  # its last words may be on their way
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_LAST_WORDS_S)
            self._read_errors()
        text = " ".join(self._said.decode(errors="replace").split())
        said = "".join(each if each.isprintable() else "?" for each in text)[-400:]
        return MeasurementInterrupted(
            f"{self._host}: expected a measurement over SSH, but {what}{': ' + said if said else ''}. It says nothing "
            "about the model; look at the link and the device, and measure again"
        )

    def _ready(self, wanted: int, event: int, deadline: float) -> set[int]:
        waiting = select.poll()
        waiting.register(wanted, event)
        if self._err >= 0:
            waiting.register(self._err, select.POLLIN)
        left = deadline - time.monotonic()
        found = {descriptor for descriptor, _ in waiting.poll(max(left, 0) * 1000)}
        if self._err in found:
            self._read_errors()
        if wanted not in found and (not found or time.monotonic() >= self._deadline):
            raise self.broken("it did not go on in time")
        return found

    def _read_errors(self) -> None:
        """Keep the last bytes of stderr; however much a device writes there, it takes no memory."""
        for _ in range(_MOST_CHUNKS):
            if self._err < 0:
                return
            try:
                more = os.read(self._err, _CHUNK)
            except BlockingIOError:
                return
            if not more:
                self._err = -1
            self._said = (self._said + more)[-_TAIL:]

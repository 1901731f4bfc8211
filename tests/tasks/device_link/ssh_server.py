"""A real SSH server on a loopback port, as this user, with keys of its own, for tests that measure over SSH."""

import os
import pwd
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deployments.device import OverSsh
from tests.edge_runtime.processes import wait_until

ROOT = Path(__file__).parents[3]
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
_CONFIGURATION = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
"""


def why_none() -> str | None:
    """Return why no server can be started here; None where one can."""
    if SSHD is None or shutil.which("ssh") is None or shutil.which("ssh-keygen") is None:
        return "sshd, ssh and ssh-keygen are needed: Debian's openssh-server and openssh-client"
    if os.getuid() == 0:  # it then gives up its rights to this user while it greets
        try:
            pwd.getpwnam("sshd")
        except KeyError:
            return "the user sshd is missing: install Debian's openssh-server"
    return None


@dataclass(frozen=True)
class SshServer:
    """A server that runs, and how a profile reaches it."""

    process: "subprocess.Popen[bytes]"
    how: OverSsh

    def sessions(self) -> list[int]:
        """Return the processes of the server that have a connection."""
        found, pending = list[int](), [self.process.pid]
        while pending:
            children = Path(f"/proc/{(parent := pending.pop())}/task/{parent}/children").read_text().split()
            pending += [int(child) for child in children]
            found += [int(child) for child in children]
        return found


@contextmanager
def ssh_server(folder: Path) -> Iterator[SshServer]:
    """Start a server; the device's Python is this one, which finds the runtime beside these tests."""
    assert SSHD is not None
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    for name in ("host", "own", "strange"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    (folder / "authorized").write_text("restrict " + (folder / "own.pub").read_text())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "known").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    (folder / "sshd_config").write_text(_CONFIGURATION.format(port=port, folder=folder))
    (folder / "python").write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} "$@"\n')
    (folder / "python").chmod(0o755)
    how = OverSsh(
        kind="ssh", host="127.0.0.1", port=port, user=pwd.getpwuid(os.getuid()).pw_name,
        identity_file=str(folder / "own"), known_hosts_file=str(folder / "known"), python=str(folder / "python"),
        memory_limit_mb=1000, timeout_s=60, warmup=1, repeats=20, connect_timeout_s=30,
    )  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "sshd_config"], stderr=log)
    try:
        wait_until(lambda: b"Server listening" in (folder / "log").read_bytes() or process.poll() is not None, 30)
        assert process.poll() is None, (folder / "log").read_text()
        yield SshServer(process, how)
    finally:
        process.kill()
        process.wait()

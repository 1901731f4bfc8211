"""A real SSH server for the tests of measuring over SSH."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_runtime.remote import far_end
from tasks.device_link import measuring
from tests.tasks.device_link.ssh_server import SshServer, ssh_server, why_none


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SshServer]:
    """A server with nothing known of it, and nothing that earlier tests have sent there."""
    reason = why_none()
    if reason is not None:
        pytest.skip(reason)
    folder = tmp_path / "ssh"
    folder.mkdir(mode=0o700)
    with ssh_server(folder) as started:
        measuring.forget_devices()
        yield started
        measuring.forget_devices()


@pytest.fixture
def kept() -> Path:
    """The folder in which the device keeps what it was sent; other tests may use it at the same time."""
    return far_end.default_folder()

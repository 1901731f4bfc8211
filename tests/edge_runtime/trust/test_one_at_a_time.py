"""One process at a time refreshes a folder of metadata: others wait, and one that is killed holds up nobody."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_runtime.errors import DeviceFailed
from edge_runtime.trust import UpdateError, trusted_manifest
from tests.edge_runtime.trust.devices import Device
from tests.edge_runtime.trust.repositories import NOW, SignedRepository


def _child(work: Callable[[], object]) -> int:
    """Run something in a process of its own and return its id; it ends with 0 unless the work raises."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return child


def _holder(device: Device) -> tuple[int, int]:
    """Return a process that stands still within a refresh, and the descriptor that lets it go on when written to."""
    (told, tells), (let_go, lets_go) = os.pipe(), os.pipe()

    def stand_still(_: int) -> bytes:
        os.close(lets_go)  # else the end of the test's process would not be seen here
        os.write(tells, b"x")
        os.read(let_go, 1)
        device.server.instead.clear()
        return device.server("metadata/timestamp.json", 1 << 14)

    device.server.instead["metadata/timestamp.json"] = stand_still
    child = _child(device.manifest)
    device.server.instead.clear()
    assert os.read(told, 1) == b"x"
    for descriptor in (told, tells, let_go):
        os.close(descriptor)
    return child, lets_go


def _manifest(device: Device, longest_wait_s: float) -> bytes:
    return trusted_manifest(
        device.folder, device.shipped, device.server, "m", "gateway", now=NOW, longest_wait_s=longest_wait_s
    ).data


def test_another_process_is_waited_for_and_named_after_the_longest_wait(device: Device) -> None:
    child, lets_go = _holder(device)
    with pytest.raises(UpdateError, match=r"One process at a time.*another has held its lock for 0\.1 s"):
        _manifest(device, 0.1)
    assert device.server.asked == []
    assert device.state().roles == {}  # looking needs no lock
    os.write(lets_go, b"x")
    os.close(lets_go)
    assert _manifest(device, 60) == b"first"
    assert os.waitpid(child, 0)[1] == 0


def test_a_process_that_is_killed_holds_up_nobody(device: Device) -> None:
    child, lets_go = _holder(device)
    os.kill(child, signal.SIGKILL)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    os.close(lets_go)
    assert _manifest(device, 0) == b"first"


def test_many_at_once_all_get_what_is_published(repository: SignedRepository, device: Device) -> None:
    device.manifest()
    repository.replace_key("root")
    repository.publish(b"second")

    def refresh() -> None:
        assert device.manifest() == b"second"

    children = [_child(refresh) for _ in range(6)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 6
    assert device.manifest() == b"second"
    assert not (device.folder / "scratch").exists()


def test_a_lock_that_is_a_link_is_not_followed(device: Device, tmp_path: Path) -> None:
    device.manifest()
    (device.folder / "lock").unlink()
    (device.folder / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DeviceFailed, match="symbolic links"):
        device.manifest()
    assert not (tmp_path / "elsewhere").exists()

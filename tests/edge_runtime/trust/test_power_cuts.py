"""A refresh is killed, or its disk fails, at each durable step: the next one works, and accepts nothing older."""

import errno
import io
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.errors import DeviceFailed
from edge_runtime.trust import TrustError
from tests.edge_runtime.trust.devices import Device
from tests.edge_runtime.trust.repositories import Served, SignedRepository, days

WATCHED = ((io, "open"), (os, "fsync"), (os, "replace"), (os, "unlink"), (os, "mkdir"), (os, "rmdir"))
WRITTEN = 6  # a root, the timestamp, the snapshot, the targets, the device's role, the floor of time
ONE = ["open", "fsync", "replace", "fsync"]


class Published:
    """A repository as it is, and copies of it as it was before each of two publishes that changed every role."""

    def __init__(self, repository: SignedRepository, tmp_path: Path) -> None:
        self.now = repository.folder
        self.oldest = shutil.copytree(self.now, tmp_path / "oldest")
        _change_every_role(repository, b"second")
        self.before = shutil.copytree(self.now, tmp_path / "before")
        _change_every_role(repository, b"third")


def _change_every_role(repository: SignedRepository, data: bytes) -> None:
    repository.replace_key("root")
    repository.renew("targets")
    repository.now += days(1)
    repository.publish(data)


@pytest.fixture
def published(repository: SignedRepository, tmp_path: Path) -> Published:
    return Published(repository, tmp_path)


@pytest.fixture
def behind(published: Published, device: Device) -> Device:
    """A device that has verified what was published before, and now sees what is published now."""
    device.server = Served(published.before)
    assert device.manifest() == b"second"
    device.server = Served(published.now)
    return device


@contextmanager
def _steps_watched(on_step: Callable[[int, str], None]) -> Iterator[None]:
    """Call a function before each call that makes something durable, with its number and name."""
    count = iter(range(10**6))

    def watched(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **options: Any) -> Any:
            reads = name == "open" and "x" not in (*arguments[1:2], options.get("mode"))[0]
            if not reads and "scratch" not in str(arguments[0]) and "dir_fd" not in options:
                on_step(next(count), name)
            return real(*arguments, **options)

        return step

    with pytest.MonkeyPatch.context() as patch:
        for module, name in WATCHED:
            patch.setattr(module, name, watched(name, getattr(module, name)))
        yield


def _steps(device: Device) -> list[str]:
    names: list[str] = []
    with _steps_watched(lambda _, name: names.append(name)):
        device.manifest()
    return names


def _kill_at(device: Device, stop: int) -> None:
    """Refresh in a process of its own, which is killed with SIGKILL before its step `stop`."""
    child = os.fork()
    if child == 0:
        try:
            with _steps_watched(lambda number, _: os.kill(os.getpid(), signal.SIGKILL) if number == stop else None):
                device.manifest()
        finally:
            os._exit(3)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, "the fault did not fire"


def _check_after_fault(device: Device, published: Published) -> None:
    """Nothing older than before is accepted, not even in parts; then the newest is, which makes all files whole."""
    versions = device.versions()
    device.server = Served(published.oldest)
    with pytest.raises(TrustError, match=r"older|fall behind"):
        device.manifest()
    assert device.versions().items() >= versions.items()
    device.server = Served(published.now)
    assert device.manifest() == b"third"
    assert not [path for path in device.folder.rglob("*") if path.suffix == ".tmp" or path.name == "scratch"]
    for role, version in device.versions().items():
        held = device.folder / "metadata" / (f"root_history/{version}.root.json" if role == "root" else f"{role}.json")
        assert held.read_bytes() == (published.now / "metadata" / f"{version}.{role}.json").read_bytes()


def _check_sees_before(device: Device, published: Published) -> None:
    """The repository of before is accepted as long as nothing newer is known, and refused from then on."""
    newer = (
        device.versions()["timestamp"]
        > json.loads((published.before / "metadata/timestamp.json").read_bytes())["signed"]["version"]
    )
    device.server = Served(published.before)
    if newer:
        with pytest.raises(TrustError, match=r"older|fall behind"):
            device.manifest()
    else:
        assert device.manifest() == b"second"


def test_a_refresh_killed_before_any_step_is_healed_by_the_next(
    behind: Device, published: Published, tmp_path: Path
) -> None:
    steps = _steps(behind.copy_to(tmp_path / "counted"))
    assert steps == [*(ONE * (WRITTEN - 1)), "fsync", "fsync", *ONE, "fsync"]
    for stop in range(len(steps)):
        tried = behind.copy_to(tmp_path / str(stop))
        _kill_at(tried, stop)
        _check_sees_before(tried, published)
        _check_after_fault(tried, published)


def test_a_first_refresh_killed_before_any_step_is_healed_by_the_next(
    repository: SignedRepository, tmp_path: Path
) -> None:
    steps = _steps(Device(tmp_path / "counted", repository))
    assert steps.count("mkdir") == 3 and steps.count("replace") == WRITTEN
    for stop in range(len(steps)):
        tried = Device(tmp_path / str(stop), repository)
        _kill_at(tried, stop)
        assert tried.manifest() == b"first"
        assert tried.state().time_floor == repository.now


def test_a_disk_that_fails_at_any_step_is_said_so_and_healed(
    behind: Device, published: Published, tmp_path: Path
) -> None:
    steps = _steps(behind.copy_to(tmp_path / "counted"))
    for stop in range(len(steps)):
        tried = behind.copy_to(tmp_path / str(stop))
        error = OSError((errno.EIO, errno.ENOSPC)[stop % 2], "the disk fails")
        fired: list[str] = []

        def fail(step: int, name: str, stop: int = stop, fired: list[str] = fired, error: OSError = error) -> None:
            if step == stop:
                fired.append(name)
                raise error

        with _steps_watched(fail), pytest.raises(DeviceFailed, match=r"durable before it counts.*the disk fails"):
            tried.manifest()
        assert fired == [steps[stop]]
        _check_after_fault(tried, published)


def test_what_a_killed_process_renamed_becomes_durable_though_nothing_is_new(device: Device) -> None:
    device.manifest()
    assert _steps(device) == ["fsync"] * 3


def test_files_are_replaced_in_the_order_that_is_safe(behind: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    replaced: list[str] = []
    replace = os.replace

    def noted(source: str, target: str) -> None:
        if "scratch" not in str(target):
            replaced.append(str(Path(target).relative_to(behind.folder)))
        replace(source, target)

    monkeypatch.setattr(os, "replace", noted)
    assert behind.manifest() == b"third"
    assert replaced == [
        "metadata/root_history/3.root.json",
        "metadata/timestamp.json",
        "metadata/snapshot.json",
        "metadata/targets.json",
        "metadata/device-gateway.json",
        "time_floor.json",
    ]

"""Metadata of a device that is damaged: it heals from the shipped root and the repository, and forgets nothing else."""

import itertools
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_runtime.errors import EdgewrightError
from edge_runtime.files import open_regular
from edge_runtime.trust import TrustError, metadata_store
from tests.edge_runtime.trust.devices import Device
from tests.edge_runtime.trust.repositories import Served, SignedRepository, role_of

GATEWAY = role_of("gateway")
FILES = (
    "metadata/root_history/1.root.json",
    "metadata/root_history/2.root.json",
    "metadata/timestamp.json",
    "metadata/snapshot.json",
    "metadata/targets.json",
    f"metadata/{GATEWAY}.json",
    "time_floor.json",
)
TELLING = set(FILES[2:])
"""Files that tell that something newer than the old repository is known: roots alone do not."""


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def _other_role(path: Path) -> None:
    metadata = next(folder for folder in path.parents if (folder / "lock").exists()) / "metadata"
    other = "targets.json" if path.name == f"{GATEWAY}.json" else f"{GATEWAY}.json"
    path.write_bytes((metadata / other).read_bytes())


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "cut in half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "of another role": _other_role,
    "too long": lambda path: path.write_bytes(path.read_bytes() + b" " * (1 << 21)),
    "changed": lambda path: path.write_bytes(path.read_bytes().replace(b'"version":', b'"version":1')),
    "missing": Path.unlink,
    "a FIFO": _fifo,
    "a link": _link,
}


@pytest.fixture
def old(repository: SignedRepository, tmp_path: Path) -> Path:
    """A copy of the repository as it was before the device's last refresh; since then every role has changed."""
    copied = shutil.copytree(repository.folder, tmp_path / "old")
    repository.replace_key("root")
    repository.renew("targets")
    repository.publish(b"second")
    return copied


def _contents(device: Device) -> dict[str, bytes]:
    return {name: (device.folder / name).read_bytes() for name in FILES}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_replaced(old: Path, device: Device, name: str, damage: str) -> None:
    assert old.exists() and device.manifest() == b"second"
    whole = _contents(device)
    DAMAGES[damage](device.folder / name)
    assert device.manifest() == b"second"
    assert _contents(device) == whole
    assert not any((device.folder / each).is_symlink() for each in FILES)


def test_whatever_is_lost_the_rest_still_refuses_an_older_repository(old: Path, device: Device, tmp_path: Path) -> None:
    assert device.manifest() == b"second"
    whole, refused = _contents(device), 0
    subsets = [set(lost) for count in (1, 5, 6, 7) for lost in itertools.combinations(FILES, count)]
    for number, lost in enumerate(subsets):
        damaged = device.copy_to(tmp_path / str(number))
        for name in lost:
            (damaged.folder / name).write_bytes(b"")
        if TELLING - lost:
            damaged.server = Served(old)
            with pytest.raises(TrustError, match=r"older|fall behind"):
                damaged.manifest()
            refused += 1
        damaged.server = device.server
        assert damaged.manifest() == b"second"
        assert _contents(damaged) == whole
        shutil.rmtree(damaged.folder)
    assert (len(subsets), refused) == (36, 32)


@pytest.mark.parametrize("role", ["snapshot", "targets", GATEWAY])
def test_a_lost_snapshot_does_not_let_roles_fall_behind(
    repository: SignedRepository, device: Device, role: str
) -> None:
    """Here the newest timestamp itself leads to older versions, as one can make who has both online keys."""
    repository.renew("targets", GATEWAY)
    device.manifest()
    known = device.versions()
    (device.folder / "metadata" / "snapshot.json").unlink()
    repository.roles[role].version -= 1
    repository.snapshot.version += role != "snapshot"
    repository.timestamp.version += 1
    repository.write_online()
    with pytest.raises(TrustError, match=r"older|fall behind"):
        device.manifest()
    assert {name: device.versions().get(name) for name in ("targets", GATEWAY)}.items() <= known.items()
    repository.roles[role].version += 1
    repository.renew()
    assert device.manifest() == b"first"


def test_a_snapshot_alone_tells_that_it_was_renewed(
    repository: SignedRepository, device: Device, tmp_path: Path
) -> None:
    renewed_before = shutil.copytree(repository.folder, tmp_path / "before")
    repository.renew()
    device.manifest()
    for name in ("metadata/timestamp.json", "time_floor.json"):
        (device.folder / name).unlink()
    device.server = Served(renewed_before)
    with pytest.raises(TrustError, match="expected version 3 or later of snapshot, got 2"):
        device.manifest()


def test_versions_start_again_where_the_keys_of_the_snapshot_are_new(
    repository: SignedRepository, device: Device
) -> None:
    """Somebody with all online keys has raised versions as far as they go; new keys bring them back."""
    repository.targets(GATEWAY).version = repository.snapshot.version = repository.timestamp.version = 10**6
    repository.renew(GATEWAY)
    device.manifest()
    assert device.versions()[GATEWAY] == 10**6 + 1
    repository.targets(GATEWAY).version = repository.snapshot.version = repository.timestamp.version = 5
    repository.write(GATEWAY)
    repository.replace_key("snapshot")
    repository.replace_key("timestamp")
    assert device.manifest() == b"first"
    assert device.versions()[GATEWAY] == 5


def test_files_of_other_names_stay_and_half_written_ones_go(device: Device) -> None:
    device.manifest()
    metadata = device.folder / "metadata"
    (metadata / ".timestamp.json.0123456789abcdef.tmp").write_bytes(b"half")
    (device.folder / ".time_floor.json.0123456789abcdef.tmp").write_bytes(b"half")
    (metadata / "root_history" / ".1.root.json.0123456789abcdef.tmp").write_bytes(b"half")
    (device.folder / "scratch").mkdir()
    (device.folder / "scratch" / "left.json").write_bytes(b"left")
    (metadata / "notes.txt").write_bytes(b"of a person")
    assert device.manifest() == b"first"
    left = {str(path.relative_to(device.folder)) for path in device.folder.rglob("*") if path.is_file()}
    assert left == {*FILES, "lock", "metadata/notes.txt"} - {"metadata/root_history/2.root.json"}


def test_nothing_is_written_where_nothing_is_new(device: Device) -> None:
    device.manifest()
    before = {name: (device.folder / name).stat().st_ino for name in FILES if (device.folder / name).exists()}
    assert device.manifest() == b"first"
    assert {name: (device.folder / name).stat().st_ino for name in before} == before and len(before) == 6


def test_metadata_that_may_not_be_read_is_not_forgotten(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    device.manifest()
    fired: list[Path] = []

    def refused(path: Path) -> object:
        if path.name == "timestamp.json":
            fired.append(path)
            raise OSError(24, "Too many open files")
        return open_regular(path)

    monkeypatch.setattr(metadata_store, "open_regular", refused)
    with pytest.raises(TrustError, match=r"timestamp\.json must be a file that this process may read.*Too many open"):
        device.manifest()
    assert fired


def test_a_folder_that_cannot_be_written_is_said_so(device: Device) -> None:
    device.folder.write_bytes(b"a file")
    with pytest.raises(EdgewrightError, match="must be durable before it counts"):
        device.manifest()

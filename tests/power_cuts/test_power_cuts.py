"""Power cuts on real file systems: they lose what was not synced and nothing else, and the harness sees both."""

import os
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.power_cuts import cutting, disks
from tests.power_cuts.atomic_writer import AtomicWriter
from tests.power_cuts.cutting import Bench, Cut, SubjectError
from tests.power_cuts.disks import FILE_SYSTEMS, Stand, Witness, new_stand, require
from tests.power_cuts.subjects import SUCCESS, Subject, WithoutSync

every_file_system = pytest.mark.parametrize("name", FILE_SYSTEMS)


@pytest.fixture(scope="module")
def stand() -> Iterator[Stand]:
    require()
    with new_stand() as made:
        yield made


class Saying:
    """A subject whose command is another one."""

    def __init__(self, *command: str) -> None:
        self._command = command
        self.name, self.identity, self.success = "another command", "", SUCCESS
        self.prepare, self.boot, self.found = AtomicWriter().prepare, AtomicWriter().boot, AtomicWriter().found

    def command(self, _: Path) -> Sequence[str]:
        return self._command


def _cuts(stand: Stand, name: str, subject: Subject) -> list[Cut]:
    """Take a quiet run and a busy one, with two cuts each before the success of a subject and three after it."""
    cuts = list(Bench(stand, FILE_SYSTEMS[name], subject).cuts(4, 6, window_s=1.0, at_once=3))
    assert (sum(not cut.after for cut in cuts), sum(cut.after for cut in cuts)) == (4, 6)
    return cuts


@every_file_system
def test_a_cut_keeps_what_was_synced_and_loses_what_was_not(stand: Stand, name: str) -> None:
    image, data = stand.new_image(), os.urandom(100_000)
    FILE_SYSTEMS[name].make(image)
    with stand.mounted(image, FILE_SYSTEMS[name]) as root:
        (root / "written").write_bytes(data)
        with (root / "synced").open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        copy = stand.cut(image)
    with stand.mounted(copy, FILE_SYSTEMS[name]) as root:
        assert (root / "synced").read_bytes() == data
        assert not (root / "written").exists() or (root / "written").read_bytes() != data
    with stand.mounted(image, FILE_SYSTEMS[name]) as root:
        assert (root / "written").read_bytes() == data  # the cut did not touch the original


@every_file_system
def test_a_writer_that_syncs_survives_every_cut(stand: Stand, name: str) -> None:
    cuts = _cuts(stand, name, AtomicWriter())
    assert [cut for cut in cuts if cut.is_lost or not cut.converged] == []
    assert {cut.version for cut in cuts if cut.after} == {"B"}


@every_file_system
def test_a_writer_that_does_not_sync_is_caught(stand: Stand, name: str) -> None:
    require("eatmydata")
    after = [cut for cut in _cuts(stand, name, WithoutSync(AtomicWriter())) if cut.after]
    assert sum(cut.is_lost for cut in after) >= len(after) / 2
    assert any(cut.is_without_model for cut in after if cut.busy)  # the neighbour made names durable, and no contents


@every_file_system
def test_a_program_that_syncs_all_file_systems_is_noticed(stand: Stand, name: str) -> None:
    image = stand.new_image()
    FILE_SYSTEMS[name].make(image)
    with stand.witness() as witness, stand.mounted(image, FILE_SYSTEMS[name]) as root:
        with (root / "synced").open("wb") as file:
            file.write(bytes(1 << 20))
            file.flush()
            os.fsync(file.fileno())
        assert witness.is_unsynced
        os.sync()
        assert not witness.is_unsynced


def test_where_everything_is_synced_no_cut_is_taken(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Witness, "is_unsynced", False)
    monkeypatch.setattr(cutting, "MOST_IDLE", 1)
    with pytest.raises(SubjectError, match="something syncs all the time"):
        next(Bench(stand, FILE_SYSTEMS["ext4"], AtomicWriter()).cuts(1, 1, window_s=0.0, at_once=1))


def test_a_subject_that_reports_no_success_says_nothing_about_cuts(stand: Stand) -> None:
    for command, said in {
        ("true",): "no success",
        ("sh", "-c", "echo broken >&2; exit 3"): "broken",
        ("sh", "-c", "echo COMMITTED; exit 4"): "ended with 4",
        ("echo", "COMMITTED"): "expected version B after it reported success",
    }.items():
        with pytest.raises(SubjectError, match=said):
            Bench(stand, FILE_SYSTEMS["ext4"], Saying(*command))


def test_a_file_system_in_use_for_a_moment_is_waited_for(stand: Stand) -> None:
    image = stand.new_image()
    FILE_SYSTEMS["ext4"].make(image)
    with stand.mounted(image, FILE_SYSTEMS["ext4"]) as root:
        held = (root / "held").open("w")
        threading.Timer(0.3, held.close).start()
    assert held.closed and not root.exists()


def test_a_file_system_in_use_is_no_part_of_this_machine_afterwards(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disks, "BUSY_S", 0.1)
    image = stand.new_image()
    FILE_SYSTEMS["ext4"].make(image)
    with pytest.raises(subprocess.CalledProcessError), stand.mounted(image, FILE_SYSTEMS["ext4"]) as root:
        held = (root / "held").open("w")
    held.close()
    assert not root.exists()


def test_a_machine_that_cannot_cut_power_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disks, "missing", lambda: None)
    with pytest.warns(UserWarning, match="there is no no-such-tool"), pytest.raises(pytest.skip.Exception):
        require("no-such-tool")
    monkeypatch.setattr(disks, "missing", lambda: "no power was cut: no reason")
    with pytest.warns(UserWarning, match="no reason"), pytest.raises(pytest.skip.Exception, match="no reason"):
        require()


def test_whoever_is_not_root_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "root" in str(disks.missing.__wrapped__())


def test_a_tool_that_is_not_there_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "no mkfs.ext4; install Debian's package e2fsprogs" in str(disks.missing.__wrapped__())

"""The spool: numbers that are never given twice, a bound, and a power cut at each call that changes the disk."""

import logging
import os
from pathlib import Path

import pytest

from edge_runtime.reports import ReportError, ReportSpool
from edge_runtime.update import exclusive
from tests.edge_runtime.reports.power_cuts import PowerCut, cut_at

ONE_ADD = ["open", "fsync", "replace", "fsync"] * 3  # the number, its copy, and the report


def begun(folder: Path, **bounds: int) -> ReportSpool:
    spool = ReportSpool(folder, **bounds)
    spool.begin()
    return spool


def add(spool: ReportSpool, size: int = 100) -> int:
    return spool.add(lambda number: f"{number}".encode().ljust(size), {"boot": "x"})


def numbers(spool: ReportSpool, *, refused: bool = False) -> list[int]:
    return [each.number for each in spool.waiting(refused=refused)]


def test_numbers_go_on_over_processes_and_over_what_has_left(tmp_path: Path) -> None:
    spool = begun(tmp_path / "reports")
    assert [add(spool), add(spool)] == [1, 2]
    for report in spool.waiting():
        spool.remove(report)
        spool.remove(report)
    again = ReportSpool(tmp_path / "reports")
    again.begin()
    assert add(again) == 3 and numbers(again) == [3]
    assert again.last_number() == 3 and again.last_note() == {"boot": "x"}
    assert again.waiting()[0].read() == b"3".ljust(100)


def test_what_is_oldest_leaves_when_the_spool_is_full(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool = begun(tmp_path, most_reports=3)
    with caplog.at_level(logging.WARNING, "edgewright"):
        for _ in range(5):
            add(spool)
    assert numbers(spool) == [3, 4, 5]
    assert "report 1 leaves unsent" in caplog.text and "report 2 leaves unsent" in caplog.text


def test_bytes_have_a_bound_too(tmp_path: Path) -> None:
    spool = begun(tmp_path, most_bytes=1000)
    for _ in range(4):
        add(spool, 400)
    assert numbers(spool) == [3, 4]
    add(spool, 950)
    assert numbers(spool) == [5]


def test_a_refused_report_stays_until_it_is_the_oldest(tmp_path: Path) -> None:
    spool = begun(tmp_path, most_reports=2)
    add(spool)
    spool.refuse(spool.waiting()[0])
    assert numbers(spool) == [] and numbers(spool, refused=True) == [1]
    add(spool)
    assert numbers(spool) == [2] and numbers(spool, refused=True) == [1, 2]
    add(spool)
    assert numbers(spool, refused=True) == [2, 3]


@pytest.mark.parametrize("damaged", ["number.json", "number.json.copy"])
@pytest.mark.parametrize("content", [None, b"", b"{", b'{"number": -1, "note": null}', b'{"number": true}'])
def test_one_damaged_file_of_the_numbers_does_no_harm(tmp_path: Path, damaged: str, content: bytes | None) -> None:
    spool = begun(tmp_path)
    add(spool)
    spool.remove(spool.waiting()[0])
    (tmp_path / damaged).unlink()
    if content is not None:
        (tmp_path / damaged).write_bytes(content)
    spool.begin()
    assert add(spool) == 2


def test_without_its_numbers_a_spool_gives_none(tmp_path: Path) -> None:
    spool = begun(tmp_path)
    add(spool)
    for name in ("number.json", "number.json.copy"):
        (tmp_path / name).write_bytes(b"{")
    with pytest.raises(ReportError, match="must not be given twice"):
        add(spool)
    assert numbers(spool) == [1]


def test_a_power_cut_at_each_call_gives_no_number_twice(tmp_path: Path) -> None:
    names: list[str] = []
    whole = begun(tmp_path / "whole")
    with cut_at(None, names):
        add(whole)
    assert names == ONE_ADD
    for stop in range(len(names)):
        spool = begun(tmp_path / f"cut-{stop}")
        assert add(spool) == 1
        fired: list[str] = []
        given: list[int] = []

        def make(number: int, given: list[int] = given) -> bytes:
            given.append(number)
            return b"cut"

        with pytest.raises(PowerCut), cut_at(stop, fired):
            spool.add(make, {})
        assert len(fired) > stop
        after = ReportSpool(tmp_path / f"cut-{stop}")
        after.begin()
        number = add(after)
        assert number not in {1, *given} and number <= 3
        assert number in numbers(after) and 1 in numbers(after)
        after.clean()
        assert not list(after.folder.glob(".*"))


def test_a_power_cut_while_room_is_made_loses_only_what_is_oldest(tmp_path: Path) -> None:
    for stop in range(len(ONE_ADD) + 1):
        spool = begun(tmp_path / f"cut-{stop}", most_reports=2)
        add(spool), add(spool)
        fired: list[str] = []
        with pytest.raises(PowerCut), cut_at(stop, fired):
            add(spool)
        assert len(fired) > stop
        assert {2} <= set(numbers(spool)) <= {1, 2, 3}
        assert add(spool) in (3, 4)


def test_a_full_disk_costs_a_number_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = begun(tmp_path)
    real = os.fsync
    fired: list[str] = []

    def full(descriptor: int) -> None:
        if len(fired) == 4:
            fired.append("full")
            raise OSError(28, "No space left on device")
        fired.append("fine")
        real(descriptor)

    with monkeypatch.context() as patch, pytest.raises(OSError, match="space"):
        patch.setattr(os, "fsync", full)
        add(spool)
    assert fired[-1] == "full" and numbers(spool) == []
    assert add(spool) == 2 and numbers(spool) == [2]


def test_one_process_at_a_time(tmp_path: Path) -> None:
    spool = begun(tmp_path)
    with exclusive(tmp_path / "spool.lock"), pytest.raises(ReportError, match="at work"), spool.alone(0.0):
        raise AssertionError("the lock was not heeded")
    with spool.alone(0.0):
        add(spool)


def test_other_files_are_no_reports(tmp_path: Path) -> None:
    spool = begun(tmp_path)
    for name in ("1.json", "00000000000a.json", "000000000001.txt", ".000000000001.json.x.tmp"):
        (tmp_path / name).write_bytes(b"")
    assert numbers(spool, refused=True) == []

"""The record of what was taken: a line counts once it is whole, and what a kill left is gone on with."""

import json
from pathlib import Path

import pytest

from tasks.errors import RecordDamaged
from tasks.field.taken_reports import LastReport, TakenReport, TakenReports, missing_ranges

FIRST, SECOND = (TakenReport(number, str(number) * 64, "made", "taken") for number in (1, 2))


@pytest.fixture
def record(tmp_path: Path) -> TakenReports:
    return TakenReports(tmp_path / "heard" / "key")


def test_nothing_was_taken_before_the_first(record: TakenReports) -> None:
    assert (record.read(), record.last(), record.after) == ({}, None, 0)


def test_what_was_added_is_read_by_another(record: TakenReports) -> None:
    record.add(FIRST)
    record.add(SECOND)
    assert TakenReports(record.folder).read() == {1: FIRST, 2: SECOND}


@pytest.mark.parametrize("left", [b"", b'{"number": 2, "sha', b"\0" * 100])
def test_a_line_that_a_kill_left_half_counts_as_none_and_is_written_over(record: TakenReports, left: bytes) -> None:
    record.add(FIRST)
    path = record.folder / "taken.jsonl"
    path.write_bytes(path.read_bytes() + left)
    assert record.read() == {1: FIRST}
    record.add(SECOND)
    assert record.read() == {1: FIRST, 2: SECOND}
    assert [json.loads(line)["number"] for line in path.read_text().splitlines()] == [1, 2]


def test_a_first_line_that_a_kill_left_half_is_written_over(record: TakenReports) -> None:
    record.folder.mkdir(parents=True)
    (record.folder / "taken.jsonl").write_bytes(b'{"num')
    assert record.read() == {}
    record.add(FIRST)
    assert record.read() == {1: FIRST}


@pytest.mark.parametrize("line", ["[]", "no JSON", '{"number": "1"}', '{"number": true, "sha256": ""}', "\udcff"])
def test_a_whole_line_that_cannot_be_read_is_named(record: TakenReports, line: str) -> None:
    record.add(FIRST)
    with (record.folder / "taken.jsonl").open("a", errors="surrogateescape") as file:
        file.write(f"{line}\n")
    with pytest.raises(RecordDamaged, match="expected a report that was taken in line 2, got"):
        record.read()


def test_the_last_report_is_that_of_the_highest_number(record: TakenReports) -> None:
    late, last = LastReport(3, "then", "{}"), LastReport(4, "now", "{}")
    record.keep_last(last)
    record.keep_last(late)
    assert record.last() == last


@pytest.mark.parametrize("content", ["", "[]", "{}"])
def test_a_last_report_that_cannot_be_read_is_named(record: TakenReports, content: str) -> None:
    record.folder.mkdir(parents=True)
    (record.folder / "last.json").write_text(content)
    with pytest.raises(RecordDamaged, match=r"last\.json: expected the last report of a device"):
        record.last()


def test_the_next_run_goes_on_where_the_last_one_stopped(record: TakenReports) -> None:
    record.go_on_after(7)
    assert TakenReports(record.folder).after == 7
    record.go_on_after(0)
    assert record.after == 0


def test_numbers_that_never_came_are_told_as_ranges() -> None:
    taken = dict.fromkeys((3, 4, 6, 10), None)
    assert missing_ranges(taken) == [(5, 5), (7, 9)]
    assert missing_ranges(taken, {10: None}) == [(7, 9)]
    assert missing_ranges({}) == []

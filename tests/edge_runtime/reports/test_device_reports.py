"""Reports from the key to the drop box: what is made when, what is sent, and what never stops an update."""

import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge_runtime.configuration import BadConfiguration, MaintenanceWindow
from edge_runtime.errors import ReportError
from edge_runtime.reports import BUDGET_S, DEVICE_KEY, MOST_REJECTED, REPORT_TYPE, Sending, SpooledReport, verified
from edge_runtime.update import HeldBack, Unreachable, exclusive
from tests.edge_runtime.reports.drop_box import DropBoxServer, answers, drop_box
from tests.edge_runtime.reports.made_reports import ReportingDevice
from tests.edge_runtime.reports.power_cuts import PowerCut, cut_at


@pytest.fixture
def box(tmp_path: Path) -> Iterator[DropBoxServer]:
    with drop_box(tmp_path / "box") as running:
        yield running


@pytest.fixture
def device(tmp_path: Path, box: DropBoxServer) -> ReportingDevice:
    return ReportingDevice(tmp_path / "device", box.url)


def made(device: ReportingDevice, count: int) -> None:
    for _ in range(count):
        device.reports.make()


def test_reports_arrive_in_order_and_are_those_of_the_key(device: ReportingDevice, box: DropBoxServer) -> None:
    made(device, 3)
    assert device.waiting == [1, 2, 3]
    assert device.reports.send() == Sending(3, 0, 0)
    assert [put.path for put in box.puts] == [device.name(number) for number in (1, 2, 3)]
    assert {(put.media_type, put.if_none_match) for put in box.puts} == {(REPORT_TYPE, "*")}
    key = device.reports.key()
    for number, put in enumerate(box.puts, 1):
        report = verified(put.body, key.key)
        assert (report.device, report.number, report.profile) == (key.device, number, "gateway")
        assert report.made_at == "2026-11-27T22:01:45Z"
    assert device.waiting == [] and device.reports.send() == Sending(0, 0, 0)
    assert device.reports.make() == 4


def test_the_private_half_of_the_key_stays(device: ReportingDevice, box: DropBoxServer) -> None:
    made(device, 1)
    device.reports.send()
    assert b"PRIVATE" not in b"".join(put.body for put in box.puts)
    assert b"PRIVATE" in (device.state / DEVICE_KEY).read_bytes()


def test_a_device_at_the_begin_of_time_reports(device: ReportingDevice, box: DropBoxServer) -> None:
    device.wall = datetime(1970, 1, 1, 0, 0, 9, tzinfo=UTC)
    made(device, 1)
    device.reports.send()
    assert verified(box.puts[0].body, device.reports.key().key).made_at == "1970-01-01T00:00:09Z"


def test_what_the_box_has_already_counts_as_sent(device: ReportingDevice, box: DropBoxServer) -> None:
    made(device, 1)
    kept = device.reports.spool.waiting()[0].path
    data = kept.read_bytes()
    device.reports.send()
    kept.write_bytes(data)
    assert device.reports.send() == Sending(1, 0, 0)
    assert device.waiting == [] and box.names == [device.name(1)]


def test_a_rejected_report_waits_for_a_person(
    device: ReportingDevice, box: DropBoxServer, caplog: pytest.LogCaptureFixture
) -> None:
    made(device, 2)
    box.plan(answers(413))
    with caplog.at_level(logging.ERROR, "edgewright"):
        assert device.reports.send() == Sending(1, 1, 0)
    assert "report 1 is not sent again by itself" in caplog.text and box.names == [device.name(2)]
    assert device.reports.send() == Sending(0, 0, 0)
    assert any("1 were not taken, such as 1" in line for line in device.reports.status_lines())
    assert device.reports.send(again=True) == Sending(1, 0, 0)
    assert box.names == [device.name(1), device.name(2)]


def test_a_box_that_takes_nothing_leaves_the_most_of_them(device: ReportingDevice, box: DropBoxServer) -> None:
    made(device, MOST_REJECTED + 4)
    box.plan(*[answers(403)] * (MOST_REJECTED + 4))
    assert device.reports.send() == Sending(0, MOST_REJECTED, 4)
    assert len(box.puts) == MOST_REJECTED


def test_a_server_in_trouble_leaves_everything_where_it_is(device: ReportingDevice, box: DropBoxServer) -> None:
    made(device, 2)
    box.plan(answers(503))
    with pytest.raises(Unreachable):
        device.reports.send()
    assert device.waiting == [1, 2] and box.fired == ["answers 503"]
    assert not (device.state / "politeness.json").exists()


def test_a_damaged_report_is_left_out(
    device: ReportingDevice, box: DropBoxServer, caplog: pytest.LogCaptureFixture
) -> None:
    made(device, 3)
    first, second, _ = (each.path for each in device.reports.spool.waiting())
    first.write_bytes(first.read_bytes()[:-20])
    second.write_bytes(bytes([*second.read_bytes()[:200], 0, *second.read_bytes()[201:]]))
    with caplog.at_level(logging.ERROR, "edgewright"):
        assert device.reports.send() == Sending(1, 0, 0)
    assert "report 1 is damaged" in caplog.text and "report 2 is damaged" in caplog.text
    assert device.waiting == [] and box.names == [device.name(3)]


def test_a_report_that_cannot_be_read_now_waits(device: ReportingDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    made(device, 2)
    real, fired = SpooledReport.read, []

    def failing(report: SpooledReport) -> bytes:
        if report.number == 1:
            fired.append("EIO")
            raise OSError(5, "Input/output error")
        return real(report)

    with monkeypatch.context() as patch:
        patch.setattr(SpooledReport, "read", failing)
        assert device.reports.send() == Sending(1, 0, 1)
    assert fired == ["EIO"] and device.waiting == [1]
    assert device.reports.send() == Sending(1, 0, 0)


def test_a_report_under_another_number_is_not_sent(device: ReportingDevice, box: DropBoxServer) -> None:
    made(device, 1)
    path = device.reports.spool.waiting()[0].path
    path.rename(path.with_name("000000000009.json"))
    assert device.reports.send() == Sending(0, 0, 0) and box.puts == []


def test_a_lost_key_is_not_made_again_by_who_sends_or_carries(
    device: ReportingDevice, box: DropBoxServer, tmp_path: Path
) -> None:
    made(device, 2)
    (device.state / DEVICE_KEY).unlink()
    with pytest.raises(ReportError, match="expected the private key of this device"):
        device.reports.send()
    with pytest.raises(ReportError, match="expected the private key of this device"):
        device.reports.carry(tmp_path)
    assert device.waiting == [1, 2] and box.puts == [] and not (device.state / DEVICE_KEY).exists()


def test_reports_are_carried_by_hand(device: ReportingDevice, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    made(device, 3)
    device.reports.spool.refuse(device.reports.spool.waiting()[0])
    assert device.reports.carry(stick) == Sending(3, 0, 0)
    assert sorted(str(path.relative_to(stick)) for path in stick.rglob("*.json")) == [
        device.name(number) for number in (1, 2, 3)
    ]
    assert device.reports.carry(stick) == Sending(0, 0, 0)


def test_a_stick_that_is_full_keeps_what_it_has_and_the_rest_waits(
    device: ReportingDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    made(device, 3)
    real, fired = os.fsync, []

    def full(descriptor: int) -> None:
        fired.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        if ".000000000002.json" in fired[-1]:
            raise OSError(28, "No space left on device")
        real(descriptor)

    with monkeypatch.context() as patch, pytest.raises(Unreachable, match="No space left"):
        patch.setattr(os, "fsync", full)
        device.reports.carry(stick)
    assert ".000000000002.json" in fired[-1] and device.waiting == [2, 3]
    assert device.reports.carry(stick) == Sending(2, 0, 0)
    assert len(list(stick.rglob("*.json"))) == 3


def test_a_folder_as_the_drop_box(tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    device = ReportingDevice(tmp_path / "device", f"file://{tmp_path / 'share'}")
    made(device, 1)
    assert device.reports.send() == Sending(1, 0, 0)
    assert (tmp_path / "share" / device.name(1)).is_file()


def test_without_a_drop_box_nothing_is_sent(tmp_path: Path) -> None:
    device = ReportingDevice(tmp_path)
    made(device, 1)
    with pytest.raises(BadConfiguration, match=r"reports\.url"):
        device.reports.send()
    device.reports.after_update()
    assert device.waiting == [1]


def test_the_window_and_the_busy_lock_hold_reports_back_too(device: ReportingDevice, box: DropBoxServer) -> None:
    made(device, 1)
    now = datetime.now()
    closed = MaintenanceWindow((now + timedelta(hours=6)).time(), (now + timedelta(hours=7)).time())
    usual = device.configuration
    device.configuration = replace(usual, window=closed)
    with pytest.raises(HeldBack, match="Reports are sent from"):
        device.reports.send()
    device.configuration = usual
    with exclusive(usual.busy_lock), pytest.raises(HeldBack):
        device.reports.send()
    assert box.puts == [] and device.reports.send().sent == 1


def test_behind_an_update_a_report_is_made_when_it_is_due(device: ReportingDevice, box: DropBoxServer) -> None:
    device.reports.after_update()
    assert len(box.puts) == 1
    device.uptime_s += 3000
    device.reports.after_update()
    assert len(box.puts) == 1
    device.uptime_s += 500
    device.reports.after_update()
    assert len(box.puts) == 2
    device.boot, device.uptime_s = "second", 20.0
    device.reports.after_update()
    assert len(box.puts) == 3


def test_behind_an_update_sending_ends_after_its_time(device: ReportingDevice, box: DropBoxServer) -> None:
    made(device, 4)
    device.elapsed_s = [0.0, 1.0, 2.0, BUDGET_S + 1]
    device.reports.after_update()
    assert len(box.puts) == 2 and device.waiting == [3, 4]


def test_without_its_table_nothing_is_made(device: ReportingDevice, box: DropBoxServer) -> None:
    device.configuration = replace(device.configuration, reports=None)
    device.reports.after_update()
    assert not device.state.exists() and box.puts == []


def test_no_trouble_of_reports_comes_through(
    device: ReportingDevice, box: DropBoxServer, caplog: pytest.LogCaptureFixture
) -> None:
    device.state.mkdir(parents=True)
    (device.state / DEVICE_KEY).write_bytes(b"damaged")
    with caplog.at_level(logging.WARNING, "edgewright"):
        device.reports.after_update()
        assert "enrol the device again" in caplog.text
        (device.state / DEVICE_KEY).unlink()
        box.plan(answers(500))
        device.reports.after_update()
        assert "answered 500" in caplog.text
        (device.state / "reports" / "spool.lock").unlink()
        (device.state / "reports" / "spool.lock").mkdir()
        device.reports.after_update()
        assert "spool.lock cannot be opened" in caplog.text
    assert box.fired == ["answers 500"] and device.waiting == [1]


def test_a_disk_that_fails_does_not_keep_what_waits(
    device: ReportingDevice, box: DropBoxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(device, 1)
    device.uptime_s += 10_000
    fired = []

    def full(_: int) -> None:
        fired.append("full")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        device.reports.after_update()
    assert fired and box.names == [device.name(1)] and device.waiting == []


def test_a_device_whose_key_was_removed_gets_another_one_and_its_numbers_go_on(
    device: ReportingDevice, box: DropBoxServer
) -> None:
    made(device, 1)
    first = device.reports.key().device
    (device.state / DEVICE_KEY).unlink()
    assert device.reports.make() == 2
    assert device.reports.key().device != first
    assert device.reports.send() == Sending(1, 0, 0) and box.names == [device.name(2)]


def test_a_power_cut_at_each_call_of_the_first_report_leaves_a_device_that_reports(tmp_path: Path) -> None:
    names: list[str] = []
    with cut_at(None, names):
        ReportingDevice(tmp_path / "whole").reports.make()
    assert {"open", "fsync", "replace", "mkdir"} <= set(names)
    for stop in range(len(names)):
        device = ReportingDevice(tmp_path / f"cut-{stop}")
        fired: list[str] = []
        with pytest.raises(PowerCut), cut_at(stop, fired):
            device.reports.make()
        assert len(fired) > stop
        number = device.reports.make()
        key = device.reports.key()
        kept = {each.number: verified(each.read(), key.key) for each in device.reports.spool.waiting()}
        assert number in kept and all(report.number == at for at, report in kept.items())
        assert {path.name for path in device.state.iterdir()} == {DEVICE_KEY, "reports"}


def test_the_status_tells_who_the_device_is_and_what_waits(device: ReportingDevice, box: DropBoxServer) -> None:
    assert "device: no key yet" in list(device.reports.status_lines())
    made(device, 2)
    lines = list(device.reports.status_lines())
    assert lines[0] == f"device: {device.reports.key().fingerprint}"
    assert lines[1:] == ["reports: 2 made, 2 wait", f"reports: go to {box.url}"]


def test_one_command_at_a_time(device: ReportingDevice) -> None:
    made(device, 1)
    with device.reports.spool.alone(), pytest.raises(ReportError, match="at work"), device.reports.spool.alone(0.0):
        raise AssertionError("the lock was not heeded")

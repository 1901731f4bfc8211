"""The table of devices: readable in 80 columns and in a pipe, with the releases that differ and what needs a look."""

from pathlib import Path

import pytest
from rich.console import Console

from edge_runtime.reports import FieldReport
from flows.field.field_table import field_table
from tasks.field import EnrolledDevice, HeardReport
from tasks.registry import DeployedRelease, RegistryView
from tests.tasks.field.reporting_device import ReportingDevice, in_field, served

VIEW = RegistryView({}, deployed={"digits-bench": DeployedRelease(13, "7")}, owners={"digits-bench": "digits"})


@pytest.fixture
def reporting(tmp_path: Path) -> ReportingDevice:
    return ReportingDevice(tmp_path)


def printed(reporting: ReportingDevice, report: FieldReport | None, width: int, missing: int = 0) -> list[str]:
    device = EnrolledDevice("press-in-hall-4", reporting.public, "2026-11-01T00:00:00Z")
    heard = None if report is None else HeardReport(report, "2026-11-27T22:05:00Z", missing)
    console = Console(width=width, color_system=None, record=True)
    with console.capture() as captured:
        console.print(field_table([(device, heard)], VIEW))
    return captured.get().splitlines()


def test_all_stands_in_one_row_where_there_is_room(reporting: ReportingDevice) -> None:
    report = reporting.report(1234, in_field("digits", "13", served=served(shadow=None)))
    row = printed(reporting, report, 160)[-1]
    assert row.split() == [
        "press-in-hall-4", "digits", "bench", "13", "13", "serving", "2026-11-27", "22:05", "1,234", "0.30",
    ]  # fmt: skip


def test_80_columns_hold_every_line_and_lose_nothing(reporting: ReportingDevice) -> None:
    report = reporting.report(1234, in_field("digits", "12", last_update="held back: the window is closed"))
    lines = printed(reporting, report, 80, missing=2)
    assert all(len(line) <= 80 for line in lines)
    text = " ".join(" ".join(lines).split())
    for told in (
        "press-in-hall-4", "digits", "12", "13", "serving", "2026-11-27 22:05", "number 1,234", "0.30",
        "shadow 75.0%", "profile bench", "last update: held back: the window is closed", "reports that never came: 2",
    ):  # fmt: skip
        assert told in text


def test_a_device_without_a_report_has_a_row(reporting: ReportingDevice) -> None:
    row = printed(reporting, None, 160)[-1]
    assert "never" in row and "no report was taken yet" in row


def test_a_device_without_a_model_has_a_row(reporting: ReportingDevice) -> None:
    assert "it runs no model" in printed(reporting, reporting.report(3), 160)[-1]


def test_a_release_that_is_not_the_deployed_one_needs_a_look(reporting: ReportingDevice) -> None:
    report = reporting.report(3, in_field("digits", "12", last_update=""))
    assert "it has not taken what is deployed" in printed(reporting, report, 200)[-1]
    broken = reporting.report(3, in_field("faces", "12", health="damaged", last_update="refused: no room"))
    assert "last update: refused: no room" in printed(reporting, broken, 200)[-1]
    unknown = reporting.report(3, in_field("faces", "12", last_update=""))
    assert "deployed" not in printed(reporting, unknown, 200)[-1]

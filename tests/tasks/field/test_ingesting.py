"""Ingest: every report that an enrolled key signed is taken once, everything else is told in a line and left alone."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest
from mlflow import MlflowClient
from securesystemslib.dsse import Envelope

from edge_runtime.reports import REPORT_TYPE, to_bytes
from tasks.errors import RegistryUnavailable
from tasks.field import BoxLimits, Enrolments, Ingested, ReportBox, ingest_box
from tasks.field import ingesting as module
from tasks.field.taken_reports import TakenReports
from tasks.registry import FieldRecords
from tasks.registry.client import client_for
from tests.tasks.field.conftest import Ingest
from tests.tasks.field.reporting_device import ReportingDevice, in_field

LATENCY = "digits.latency_p50_ms"


@pytest.fixture
def client(tracking_uri: str) -> MlflowClient:
    return client_for(tracking_uri)


@pytest.fixture
def steps(client: MlflowClient, tracking_uri: str) -> Callable[[ReportingDevice], list[int]]:
    """The numbers of the reports that a device's run has figures of, each as often as MLflow has it."""

    def read(device: ReportingDevice) -> list[int]:
        condition = f"tags.`edgewright.field.device` = '{device.public.device}'"
        runs = client.search_runs([FieldRecords(tracking_uri).experiment], condition)
        return sorted(each.step for run in runs for each in client.get_metric_history(run.info.run_id, LATENCY))

    return read


Steps = Callable[[ReportingDevice], list[int]]


def test_new_reports_are_taken_once(box: Path, device: ReportingDevice, ingest: Ingest, steps: Steps) -> None:
    for number in (1, 2):
        device.put(box, number, in_field("digits"))
    assert ingest().taken == {"press": 2}
    device.put(box, 3, in_field("digits"))
    assert (ingest().taken, steps(device)) == ({"press": 1}, [1, 2, 3])
    again = ingest()
    assert (again.taken, again.refused, again.failed, steps(device)) == ({"press": 0}, [], [], [1, 2, 3])


def test_the_run_of_a_device_says_what_it_runs(
    box: Path, device: ReportingDevice, ingest: Ingest, client: MlflowClient, tracking_uri: str
) -> None:
    device.put(box, 2, in_field("digits", "12"))
    ingest()
    device.put(box, 1, in_field("digits", "11"))  # carried late
    assert ingest().taken == {"press": 1}
    condition = f"tags.`edgewright.field.device` = '{device.public.device}'"
    (run,) = client.search_runs([FieldRecords(tracking_uri).experiment], condition)
    tags = run.data.tags
    assert (run.info.run_name, run.info.status) == ("press", "FINISHED")
    assert (tags["edgewright.field.number"], tags["edgewright.field.digits.release"]) == ("2", "12")
    assert tags["edgewright.field.digits.health"] == "serving"
    assert run.data.metrics["digits.shadow_agreement"] == 0.75


def test_numbers_that_never_came_are_told_once(box: Path, device: ReportingDevice, ingest: Ingest) -> None:
    for number in (3, 4, 6, 20):
        device.put(box, number, in_field("digits"))
    notes = ingest().notes
    assert [note for note in notes if "never came" in note] == [
        "press: report 5 never came: the device dropped it when its spool was full, or it is late",
        "press: report 7 to 19 never came: the device dropped it when its spool was full, or it is late",
    ]
    assert not any("never came" in note for note in ingest().notes)


def of_another_device(device: ReportingDevice, other: ReportingDevice) -> bytes:
    """A report that the enrolled key signed, and that says to be another device's."""
    envelope = Envelope(to_bytes(other.report(1)), REPORT_TYPE, {})
    envelope.sign(device.key.signer)
    return json.dumps(envelope.to_dict()).encode()


def of_another_type(device: ReportingDevice, _other: ReportingDevice) -> bytes:
    envelope = Envelope(to_bytes(device.report(1)), "text/plain", {})
    envelope.sign(device.key.signer)
    return json.dumps(envelope.to_dict()).encode()


def changed_content(device: ReportingDevice, _other: ReportingDevice) -> bytes:
    changed = json.loads(device.envelope(1, in_field("digits", "13")))
    return json.dumps(json.loads(device.envelope(1)) | {"payload": changed["payload"]}).encode()


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda _, other: other.envelope(1), "must be signed by the device"),
        (of_another_device, "whose key signed it, not"),
        (of_another_type, "must hold a report"),
        (changed_content, "must be signed by the device"),
        (lambda device, _: device.envelope(2), "expected the report 1, got 2 in it; somebody renamed the file"),
        (lambda *_: b"[" * 60_000, "must be JSON"),
        (lambda *_: b"\xff\0" * 20_000, "must be JSON"),
        (lambda *_: b"", "must be JSON"),
        (lambda *_: b" " * 70_000, "expected at most 65,536 bytes, got 70,000; not read"),
    ],
)
def test_what_is_not_trusted_is_refused_in_one_line_and_keeps_no_other_waiting(
    box: Path, device: ReportingDevice, ingest: Ingest, steps: Steps, tmp_path: Path,
    made: Callable[[ReportingDevice, ReportingDevice], bytes], says: str,
) -> None:  # fmt: skip
    device.put_bytes(box, 1, made(device, ReportingDevice(tmp_path / "other")))
    device.put(box, 2, in_field("digits"))
    ingested = ingest()
    (line,) = ingested.refused
    assert line.startswith("press: 000000000001.json: ") and says in line and "\n" not in line
    assert (ingested.taken, ingested.failed, steps(device)) == ({"press": 1}, [], [2])
    device.put(box, 1, in_field("digits"))  # the true one takes its place
    assert (ingest().refused, steps(device)) == ([], [1, 2])


def test_other_bytes_under_a_number_that_was_taken_are_refused(
    box: Path, device: ReportingDevice, ingest: Ingest, steps: Steps
) -> None:
    device.put(box, 1, in_field("digits", "12"))
    assert ingest().taken == {"press": 1}
    device.put(box, 1, in_field("digits", "13"))  # signed well: a device whose disk was set back
    ingested = ingest()
    (line,) = ingested.refused
    assert "expected the report that was taken on" in line and "got other bytes under its number; not taken" in line
    assert (ingested.taken, steps(device)) == ({"press": 0}, [1])


def test_a_report_that_is_gone_from_the_box_stays_taken(
    box: Path, device: ReportingDevice, ingest: Ingest, steps: Steps
) -> None:
    device.put(box, 1, in_field("digits")).unlink()
    device.put(box, 2, in_field("digits"))
    ingest()
    device.path(box, 2).unlink()
    device.put(box, 2, in_field("digits"))  # sent once more, as the device did not learn that it arrived
    assert (ingest().refused, steps(device)) == ([], [2])


def test_what_took_the_place_of_a_report_that_was_taken_is_refused_unread(
    box: Path, device: ReportingDevice, ingest: Ingest, steps: Steps
) -> None:
    device.put(box, 1, in_field("digits"))
    ingest()
    device.path(box, 1).unlink()
    os.mkfifo(device.path(box, 1))
    (line,) = ingest().refused
    assert "expected a regular file that can be read" in line and steps(device) == [1]


def test_a_report_that_goes_away_between_the_look_and_the_reading_is_not_taken(
    box: Path, device: ReportingDevice, ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = device.put(box, 1, in_field("digits"))
    look = ReportBox.waiting

    def look_and_clear(*given: Any) -> Any:
        found = look(*given)
        path.unlink()
        return found

    with monkeypatch.context() as patch:
        patch.setattr(ReportBox, "waiting", look_and_clear)
        ingested = ingest()
    assert not path.exists() and (ingested.taken, ingested.refused) == ({"press": 0}, [])


def test_files_of_other_names_and_a_folder_with_too_many_are_told(
    box: Path, device: ReportingDevice, enrolments: Enrolments, tracking_uri: str
) -> None:
    for name in ("notes.txt", "1.json", "2.json", "3.json"):
        device.path(box, 1).with_name(name).touch()
    limited = ReportBox(box, BoxLimits(names=3))
    assert ingest_box(limited, enrolments, FieldRecords(tracking_uri)).notes == [
        "press: files that are not named as reports, not opened: 3",
        "press: its folder has more files than a run looks at; remove those that were taken",
    ]


def test_many_refusals_are_counted(box: Path, device: ReportingDevice, ingest: Ingest) -> None:
    for number in range(1, 26):
        device.put_bytes(box, number, b"junk")
    refused = ingest().refused
    assert len(refused) == module.MOST_TOLD + 1 and refused[-1] == "press: and 5 more like these"


def test_folders_of_others_are_counted_in_one_line(
    box: Path, device: ReportingDevice, ingest: Ingest, tmp_path: Path
) -> None:
    for number in (1, 2):
        ReportingDevice(tmp_path / f"unknown-{number}").put(box, 1, in_field("digits"))
    device.put(box, 1)
    ingested = ingest()
    assert [note for note in ingested.notes if "nobody enrolled" in note] == [
        "folders of keys that nobody enrolled, not looked into: 2; edgewright devices enrol NAME KEY_FILE"
    ]
    assert ingested.taken == {"press": 1}


def test_a_bounded_number_is_taken_in_a_run_and_the_rest_is_told(
    box: Path, device: ReportingDevice, enrolments: Enrolments, tracking_uri: str, steps: Steps
) -> None:
    for number in (1, 2, 3):
        device.put_bytes(box, number, b"junk")
    for number in (4, 5):
        device.put(box, number, in_field("digits"))
    limited, records = ReportBox(box, BoxLimits(files=3)), FieldRecords(tracking_uri)
    first = ingest_box(limited, enrolments, records)
    assert (len(first.refused), first.taken) == (3, {"press": 0})
    assert "press: further reports for the next run: 2" in first.notes
    assert ingest_box(limited, enrolments, records).taken == {"press": 2}  # junk does not keep reports waiting
    assert steps(device) == [4, 5]


class Killed(BaseException):
    """The end of the process at one moment."""


@pytest.mark.parametrize("moment", ["keep_last", "add"])
def test_a_kill_between_the_registry_and_the_record_repeats_and_loses_nothing(
    box: Path, device: ReportingDevice, ingest: Ingest, steps: Steps, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        device.put(box, number, in_field("digits"))
    killed = []

    def kill(*_: object) -> None:
        killed.append(moment)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(TakenReports, moment, kill)
        with pytest.raises(Killed):
            ingest()
    assert killed == [moment] and steps(device) == [1]
    assert (ingest().taken, steps(device)) == ({"press": 2}, [1, 2])


def test_two_at_once_take_each_report_once(
    box: Path, device: ReportingDevice, enrolments: Enrolments, tracking_uri: str, steps: Steps
) -> None:
    for number in range(1, 9):
        device.put(box, number, in_field("digits"))
    begin, ended = Barrier(2), list[Ingested]()

    def run() -> None:
        records = FieldRecords(tracking_uri)
        begin.wait()
        ended.append(ingest_box(ReportBox(box), enrolments, records))

    threads = [Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(each.taken["press"] for each in ended) == [0, 8]
    assert [each.refused for each in ended] == [[], []] and steps(device) == list(range(1, 9))


def test_a_registry_that_is_away_takes_nothing(
    box: Path, device: ReportingDevice, enrolments: Enrolments, ingest: Ingest, unreachable: str, tracking_uri: str
) -> None:
    device.put(box, 1, in_field("digits"))
    records = FieldRecords(tracking_uri)
    records.client = client_for(unreachable)
    with pytest.raises(RegistryUnavailable):
        ingest_box(ReportBox(box), enrolments, records)
    assert ingest().taken == {"press": 1}


def test_a_device_whose_record_is_damaged_keeps_no_other_waiting(
    box: Path, device: ReportingDevice, enrolments: Enrolments, ingest: Ingest, tmp_path: Path
) -> None:
    (press,) = enrolments.every()
    other = ReportingDevice(tmp_path / "other")
    enrolments.enrol("oven", other.public)
    folder = enrolments.record(press).folder
    folder.mkdir(parents=True)
    (folder / "taken.jsonl").write_text("no line\n")
    for each in (device, other):
        each.put(box, 1, in_field("digits"))
    ingested = ingest()
    assert ingested.taken == {"oven": 1}
    (line,) = ingested.failed
    assert line.startswith("press: ") and "taken.jsonl: expected a report that was taken in line 1" in line


def test_a_box_folder_that_is_a_link_is_told_and_keeps_no_other_waiting(
    box: Path, device: ReportingDevice, ingest: Ingest, tmp_path: Path
) -> None:
    device.put(tmp_path / "elsewhere", 1, in_field("digits"))
    (box / device.public.device).symlink_to(tmp_path / "elsewhere" / device.public.device)
    ingested = ingest()
    assert ingested.taken == {} and "got a link or a file" in ingested.failed[0]


def test_the_numbers_of_a_new_key_begin_anew(
    box: Path, device: ReportingDevice, enrolments: Enrolments, ingest: Ingest, steps: Steps, tmp_path: Path
) -> None:
    device.put(box, 1, in_field("digits"))
    ingest()
    new = ReportingDevice(tmp_path / "new")
    enrolments.enrol("press", new.public, replace=True)
    new.put(box, 1, in_field("digits"))
    device.put(box, 2, in_field("digits"))  # whoever has the old key is believed no more
    assert (ingest().taken, steps(new), steps(device)) == ({"press": 1}, [1], [1])

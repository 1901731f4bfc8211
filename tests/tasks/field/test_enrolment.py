"""Enrolment: one name for a key, one key for a name, and what is on disk is for people to read."""

import json
import os
from pathlib import Path

import pytest

from tasks.errors import EnrolmentError, RecordDamaged
from tasks.field import Enrolments, check_fingerprint, read_public_key
from tests.tasks.field.reporting_device import ReportingDevice


@pytest.fixture
def other(tmp_path: Path) -> ReportingDevice:
    return ReportingDevice(tmp_path / "other")


def test_nobody_is_enrolled_in_a_new_home(enrolments: Enrolments) -> None:
    assert enrolments.every() == [] and not enrolments.folder.exists()


def test_a_device_is_a_file_that_people_can_read(enrolments: Enrolments, device: ReportingDevice) -> None:
    told = json.loads((enrolments.folder / "press.json").read_text())
    assert told["public"]["device"] == device.public.device and told["public"]["profile"] == "bench"
    (read,) = Enrolments(enrolments.folder.parent).every()
    assert (read.name, read.device, read.enrolled_at) == ("press", device.public.device, told["enrolled_at"])
    assert enrolments.heard(read) is None


def test_the_same_key_again_changes_nothing(enrolments: Enrolments, device: ReportingDevice) -> None:
    before = (enrolments.folder / "press.json").read_bytes()
    enrolments.enrol("press", device.public)
    assert (enrolments.folder / "press.json").read_bytes() == before


def test_a_key_has_one_name(enrolments: Enrolments, device: ReportingDevice) -> None:
    with pytest.raises(EnrolmentError, match=r"that no other device has, got that of press; .* devices remove press"):
        enrolments.enrol("oven", device.public)
    with pytest.raises(EnrolmentError, match="that no other device has"):
        enrolments.enrol("oven", device.public, replace=True)


def test_a_new_key_takes_the_place_of_the_old_one_only_if_it_is_said(
    enrolments: Enrolments, device: ReportingDevice, other: ReportingDevice
) -> None:
    with pytest.raises(EnrolmentError, match=f"got one with the key {device.public.fingerprint[:14]}; .*--replace"):
        enrolments.enrol("press", other.public)
    replaced = enrolments.enrol("press", other.public, replace=True)
    assert enrolments.every() == [replaced] and replaced.device == other.public.device
    assert enrolments.record(replaced).read() == {}  # numbers begin anew


def test_a_removed_device_is_enrolled_no_more_and_its_record_stays(
    enrolments: Enrolments, device: ReportingDevice
) -> None:
    (press,) = enrolments.every()
    enrolments.record(press).go_on_after(3)
    assert enrolments.remove("press") == press and enrolments.every() == []
    again = enrolments.enrol("oven", device.public)
    assert enrolments.record(again).after == 3
    with pytest.raises(EnrolmentError, match=r"press: expected the name of an enrolled device, got none of \['oven'\]"):
        enrolments.remove("press")


@pytest.mark.parametrize("name", ["", ".hidden", "../out", "a/b", "x" * 65, "a b", "-x", "a\n"])
def test_a_name_can_be_that_of_a_file(enrolments: Enrolments, other: ReportingDevice, name: str) -> None:
    with pytest.raises(EnrolmentError, match="expected a name of 1 to 64 letters"):
        enrolments.enrol(name, other.public)
    assert enrolments.every() == []


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"enrolled_at": "", "public": {}}'])
def test_a_damaged_file_is_named(enrolments: Enrolments, device: ReportingDevice, content: str) -> None:
    assert device
    (enrolments.folder / "press.json").write_text(content)
    with pytest.raises(RecordDamaged, match=r"press\.json: expected an enrolled device, got"):
        enrolments.every()


def test_the_key_that_a_person_carried_is_read(tmp_path: Path, other: ReportingDevice) -> None:
    (tmp_path / "key.json").write_bytes(other.public.to_bytes())
    assert read_public_key(tmp_path / "key.json").to_bytes() == other.public.to_bytes()


def test_what_is_no_key_is_refused(tmp_path: Path, other: ReportingDevice) -> None:
    told = json.loads(other.public.to_bytes()) | {"device": "0" * 64}
    (tmp_path / "forged").write_text(json.dumps(told))
    (tmp_path / "large").write_bytes(b" " * (1 << 20))
    (tmp_path / "text").write_text("hello")
    os.mkfifo(tmp_path / "fifo")
    for name in ("forged", "large", "text", "fifo", "missing"):
        with pytest.raises(
            EnrolmentError, match=f"{name}: expected the public key of a device, got: .*[^.]; take what .*reports key"
        ):
            read_public_key(tmp_path / name)


def test_a_fingerprint_counts_whole_however_it_is_written(other: ReportingDevice) -> None:
    check_fingerprint(other.public, other.public.fingerprint)
    check_fingerprint(other.public, f" {other.public.device.upper()} ")
    for wrong in ("", other.public.fingerprint[:39], "0" * 64):
        with pytest.raises(EnrolmentError, match="--fingerprint: expected that of the key"):
            check_fingerprint(other.public, wrong)

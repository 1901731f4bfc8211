"""`edgewright devices`: a person compares a fingerprint before a key is trusted, and sees what each device runs."""

from pathlib import Path

import pytest

from flows.field import device_commands
from tasks.errors import EnrolmentError
from tests.flows.field.conftest import Edgewright
from tests.tasks.field.reporting_device import ReportingDevice, in_field


def shown(device: ReportingDevice, output: str) -> bool:
    return " ".join(output.split()).count(device.public.fingerprint) == 1


def test_a_key_is_enrolled_by_its_fingerprint(edgewright: Edgewright, device: ReportingDevice, key_file: Path) -> None:
    said = edgewright("devices", "enrol", "press", key_file, "--fingerprint", device.public.fingerprint).output
    assert shown(device, said) and "profile bench" in said
    assert f"press is enrolled. edgewright ingest BOX takes its reports from BOX/{device.public.device}." in said


def test_a_wrong_fingerprint_enrols_nobody(edgewright: Edgewright, home: Path, key_file: Path) -> None:
    result = edgewright("devices", "enrol", "press", key_file, "--fingerprint", "0000 1111", says=1)
    assert isinstance(result.exception, EnrolmentError) and "expected that of the key" in str(result.exception)
    assert not (home / "devices" / "press.json").exists()


def test_without_a_terminal_a_fingerprint_is_needed(
    edgewright: Edgewright, home: Path, device: ReportingDevice, key_file: Path
) -> None:
    result = edgewright("devices", "enrol", "press", key_file, says=1)
    assert shown(device, result.output)
    assert isinstance(result.exception, EnrolmentError) and "nobody can be asked here" in str(result.exception)
    assert not (home / "devices").exists()


@pytest.mark.parametrize(("typed", "says"), [("y\n", 0), ("n\n", 1), ("\n", 1)])
def test_on_a_terminal_a_person_says_yes(
    edgewright: Edgewright, home: Path, key_file: Path, monkeypatch: pytest.MonkeyPatch, typed: str, says: int
) -> None:
    monkeypatch.setattr(device_commands, "_is_terminal", lambda: True)
    result = edgewright("devices", "enrol", "press", key_file, says=says, typed=typed)
    assert "Does the device itself show the same?" in result.output
    assert (home / "devices" / "press.json").exists() == (says == 0)
    assert says == 0 or isinstance(result.exception, EnrolmentError)


def test_a_new_key_needs_a_word(edgewright: Edgewright, enrolled: ReportingDevice, tmp_path: Path, home: Path) -> None:
    new = ReportingDevice(tmp_path / "new")
    (tmp_path / "new.json").write_bytes(new.public.to_bytes())
    words = ["devices", "enrol", "press", tmp_path / "new.json", "--fingerprint", new.public.fingerprint]
    assert "--replace" in str(edgewright(*words, says=1).exception)
    assert enrolled.public.device in (home / "devices" / "press.json").read_text()
    edgewright(*words, "--replace")
    assert new.public.device in (home / "devices" / "press.json").read_text()


def test_nobody_is_listed_before_the_first(edgewright: Edgewright) -> None:
    assert edgewright("devices", "list").output == "No device is enrolled: edgewright devices enrol NAME KEY_FILE\n"


def test_the_list_shows_what_each_device_runs(edgewright: Edgewright, enrolled: ReportingDevice, box: Path) -> None:
    assert "no report was taken yet" in edgewright("devices", "list").output
    enrolled.put(box, 7, in_field("digits", "12"))
    edgewright("ingest", box)
    heading, row = edgewright("devices", "list").output.splitlines()[1:]
    assert heading.split()[:4] == ["device", "model", "profile", "release"]
    assert row.split()[:6] == ["press", "digits", "bench", "12", "-", "serving"]
    assert row.split()[-3:] == ["7", "0.30", "75.0%"]


def test_a_device_is_removed(edgewright: Edgewright, enrolled: ReportingDevice) -> None:
    said = edgewright("devices", "remove", "press").output
    assert said.startswith(f"press is removed, with the key {enrolled.public.fingerprint[:14]}.")
    assert "No device is enrolled" in edgewright("devices", "list").output
    assert isinstance(edgewright("devices", "remove", "press", says=1).exception, EnrolmentError)

"""`edgewright ingest`: what it says, and with which code it ends."""

from pathlib import Path

import pytest

from tasks.errors import DropBoxError
from tests.flows.field.conftest import Edgewright
from tests.tasks.field.reporting_device import ReportingDevice, in_field


def test_new_reports_are_counted(edgewright: Edgewright, enrolled: ReportingDevice, box: Path) -> None:
    enrolled.put(box, 1, in_field("digits"))
    said = edgewright("ingest", box).output.splitlines()
    assert said == [
        "press: 1 new report",
        "digits release 1 for bench: reported by 1, and the registry does not know it",
    ]
    assert edgewright("ingest", box).output.splitlines()[0] == "no new report of 1 enrolled device"


def test_a_refusal_is_one_line_and_code_1(edgewright: Edgewright, enrolled: ReportingDevice, box: Path) -> None:
    enrolled.put_bytes(box, 1, b"junk")
    enrolled.put(box, 2)
    said = edgewright("ingest", box, says=1).output.splitlines()
    assert said[0] == "press: 1 new report" and said[1].startswith("refused: press: 000000000001.json: The envelope")
    assert len(said) == 2


def test_a_record_that_cannot_be_read_is_code_3(
    edgewright: Edgewright, enrolled: ReportingDevice, box: Path, home: Path
) -> None:
    enrolled.put(box, 1)
    edgewright("ingest", box)
    (home / "devices" / "heard" / enrolled.public.device / "taken.jsonl").write_text("no line\n")
    assert "failed: press: " in edgewright("ingest", box, says=3).output


def test_the_box_of_the_environment_is_taken(
    edgewright: Edgewright, enrolled: ReportingDevice, box: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrolled.put(box, 1)
    assert isinstance(edgewright("ingest", says=1).exception, DropBoxError)
    monkeypatch.setenv("EDGEWRIGHT_BOX", str(box))
    assert "press: 1 new report" in edgewright("ingest").output


def test_a_box_that_is_none_is_an_error(edgewright: Edgewright, tmp_path: Path) -> None:
    assert isinstance(edgewright("ingest", tmp_path / "none", says=1).exception, DropBoxError)

"""The flow `ingest`: it runs on a schedule, does nothing without a box, and fails only where something was not read."""

from pathlib import Path
from typing import Any

import pytest

from flows.field import ingest_flow
from tasks.errors import SystemFailure
from tasks.workspace import Workspace
from tests.tasks.field.reporting_device import ReportingDevice, in_field


def ingest(**given: Any) -> list[str]:
    said: list[str] = ingest_flow.ingest.fn(**given)
    return said


def test_without_a_box_nothing_is_done(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ingest() == []
    monkeypatch.setenv("EDGEWRIGHT_BOX", "")  # as compose sets it
    assert ingest() == [] and not (home / "devices").exists()


def test_refusals_are_said_and_no_failure(
    home: Path, enrolled: ReportingDevice, box: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert home.is_dir()
    enrolled.put(box, 1, in_field("digits"))
    enrolled.put_bytes(box, 2, b"junk")
    monkeypatch.setenv("EDGEWRIGHT_BOX", str(box))
    said = ingest()
    assert said[0] == "press: 1 new report" and said[-1].startswith("refused: press: 000000000002.json")


def test_a_record_that_cannot_be_read_fails_the_run(
    home: Path, enrolled: ReportingDevice, box: Path, field_store: str
) -> None:
    folder = home / "devices" / "heard" / enrolled.public.device
    folder.mkdir(parents=True)
    (folder / "taken.jsonl").write_text("no line\n")
    with pytest.raises(SystemFailure, match="expected to read every device's box and record, got: press: "):
        ingest(box=str(box), workspace=Workspace.at(home, field_store))

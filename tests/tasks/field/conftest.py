"""A drop box, enrolments of a home of its own, and the records of the field in a real MLflow store."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.field import Enrolments, Ingested, ReportBox, ingest_box
from tasks.registry import FieldRecords
from tests.tasks.field.reporting_device import ReportingDevice

Ingest = Callable[[], Ingested]


@pytest.fixture
def box(tmp_path: Path) -> Path:
    (tmp_path / "box").mkdir()
    return tmp_path / "box"


@pytest.fixture
def enrolments(tmp_path: Path) -> Enrolments:
    return Enrolments(tmp_path / "home")


@pytest.fixture
def device(tmp_path: Path, enrolments: Enrolments) -> ReportingDevice:
    """A device that is enrolled as `press`."""
    made = ReportingDevice(tmp_path / "device")
    enrolments.enrol("press", made.public)
    return made


@pytest.fixture
def ingest(box: Path, enrolments: Enrolments, tracking_uri: str) -> Ingest:
    """Take what is new in the box."""
    return lambda: ingest_box(ReportBox(box), enrolments, FieldRecords(tracking_uri))

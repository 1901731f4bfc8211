"""The content of a report: what the store, the last update and the process that serves tell."""

from dataclasses import replace
from pathlib import Path

import pytest

from edge_runtime.reports import FieldReport, ModelInField, verified
from edge_runtime.statistics import ServedFile, ServedModel, ServingRecord
from edge_runtime.update import EndingRecords, ModelEnding, UpdateExit
from tests.edge_runtime.install.carried import DEVICE, MODEL
from tests.edge_runtime.reports.made_reports import ReportingDevice, served
from tests.edge_runtime.serving.stored import Stored


class InstalledDevice(ReportingDevice):
    """A device with a store that models are put into."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.stored = Stored(folder)
        self.configuration = replace(self.configuration, device=DEVICE, models=(MODEL,), state=self.stored.store.root)
        self.state.mkdir(parents=True)

    def reported(self) -> FieldReport:
        """Make a report, and read it."""
        self.reports.make()
        last = self.reports.spool.waiting()[-1]
        return verified(last.read(), self.reports.key().key)

    def model(self) -> ModelInField:
        (only,) = self.reported().models
        return only

    def writes(self, *models: ServedModel) -> ServedFile:
        """Write what a process serves, and return the file that it holds."""
        file = ServedFile(self.state)
        assert file.hold()
        file.write(ServingRecord(7, "2026-11-27T22:01:45Z", models))
        return file


@pytest.fixture
def device(tmp_path: Path) -> InstalledDevice:
    return InstalledDevice(tmp_path)


def answering(digest: str = "d" * 64, *, ready: bool = True) -> ServedModel:
    return ServedModel(MODEL, "12", digest, ready, served())


def test_nothing_installed(device: InstalledDevice) -> None:
    report = device.reported()
    assert report.models == (ModelInField(MODEL, "", "", "missing", "", None),)
    assert (report.profile, report.number) == (DEVICE, 1) and report.runtime


def test_an_installed_model(device: InstalledDevice) -> None:
    carried = device.stored.put(1)
    model = device.model()
    assert (model.health, model.digest, model.served) == ("installed", carried.digest, None)


def test_a_model_that_a_process_serves_is_the_one_that_it_says(device: InstalledDevice) -> None:
    device.stored.put(1)
    file = device.writes(answering())
    model = device.model()
    assert (model.health, model.release, model.digest, model.served) == ("serving", "12", "d" * 64, served())
    assert device.model() == model
    file.let_go()


def test_a_process_that_is_not_ready_serves_nothing_yet(device: InstalledDevice) -> None:
    carried = device.stored.put(1)
    file = device.writes(answering(ready=False))
    model = device.model()
    assert (model.health, model.digest, model.served) == ("installed", carried.digest, served())
    file.let_go()


def test_figures_of_a_process_that_has_ended_are_told_once(device: InstalledDevice) -> None:
    carried = device.stored.put(1)
    device.writes(answering()).let_go()
    first, second = device.model(), device.model()
    assert (first.health, first.digest, first.served) == ("installed", carried.digest, served())
    assert (second.health, second.served) == ("installed", None)


def test_a_damaged_model_counts_for_more_than_that_it_is_served(device: InstalledDevice) -> None:
    device.stored.put(1)
    file = device.writes(answering())
    for path in (device.state / "blobs").iterdir():
        path.chmod(0o644)
        path.write_bytes(b"")
    model = device.model()
    assert model.health == "damaged" and model.served == served()
    device.stored.damage_state()
    assert device.model().health == "damaged"
    file.let_go()


def test_the_last_update_is_told_in_one_line(device: InstalledDevice) -> None:
    records = EndingRecords(device.state / "update.json", lambda: device.wall)
    records.write([ModelEnding(MODEL, UpdateExit.HELD_BACK, "a lock\nis \x1b[31m held " + "x" * 600)])
    told = device.model().last_update
    assert told.startswith("held back since 2026-11-27T22:01:45Z: a lock is ?[31m held x") and len(told) == 500


def test_models_that_nobody_configured_are_told_too(device: InstalledDevice) -> None:
    file = device.writes(replace(answering(), model="other"))
    assert [each.model for each in device.reported().models] == [MODEL, "other"]
    file.let_go()


def test_a_report_that_is_too_long_leaves_figures_out(
    device: InstalledDevice, caplog: pytest.LogCaptureFixture
) -> None:
    many = [replace(answering(), model=f"m{at}", figures=served(64)) for at in range(20)]
    device.configuration = replace(device.configuration, models=tuple(each.model for each in many))
    file = device.writes(*many)
    report = device.reported()
    assert len(report.models) == 20
    assert all(each.served == replace(served(64), drift=()) for each in report.models)
    assert "lacks figures" in caplog.text
    file.let_go()

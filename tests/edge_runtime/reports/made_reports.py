"""Reports as a device makes them, for tests that change, sign, send or read them."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from edge_runtime.configuration import NetworkSettings, ReportSettings, UpdateConfiguration
from edge_runtime.reports import (
    OUTCOMES,
    DeviceKey,
    DeviceReports,
    FieldReport,
    ModelInField,
    ServedInField,
    ShadowStatistics,
    TensorDrift,
)
from edge_runtime.statistics import SECONDS, HistogramCounter, drift_index
from edge_runtime.update import Moment

MADE_AT = datetime(2026, 11, 27, 22, 1, 45, tzinfo=UTC)
COUNTS = (0, 1, 4, 20, 25, 25, 20, 4, 1, 0)


def times() -> HistogramCounter:
    counter = HistogramCounter(SECONDS)
    counter.add(0.003)
    counter.add(20.0)
    return counter


def served(tensors: int = 1) -> ServedInField:
    """Return figures of a model, with the drift of some tensors."""
    drift = tuple(TensorDrift(f"t{at}", 100, COUNTS, drift_index(COUNTS, 100)) for at in range(tensors))
    shadow = ShadowStatistics("8", "b" * 64, 7, 70, 69, 0.25, 0, 3, times().read())
    requests = dict.fromkeys(OUTCOMES, 0) | {"ok": 2}
    return ServedInField("2026-11-27T20:00:00Z", requests, times().read(), 50_000_000, drift, shadow)


def report(device: str = "a" * 64, number: int = 1, models: int = 1, tensors: int = 1) -> FieldReport:
    """Return a report of some models, all of which are served."""
    each = ModelInField("camera", "7", "c" * 64, "serving", "done: up to date", served(tensors))
    every = tuple(replace(each, model=f"camera{at or ''}") for at in range(models))
    return FieldReport(device, number, "2026-11-27T22:01:45Z", "gateway", "0.1.0", every)


def made_key(folder: Path) -> DeviceKey:
    """Make the key of a device in a folder that may be missing."""
    folder.mkdir(parents=True, exist_ok=True)
    return DeviceKey.make(folder, "gateway")


def configured(folder: Path, url: str = "", **reports: float) -> UpdateConfiguration:
    """Return the configuration of a device that reports, with its state in a folder."""
    return UpdateConfiguration(
        device="gateway",
        models=("camera",),
        url="/nowhere",
        state=folder / "state",
        root=folder / "root.json",
        busy_lock=folder / "busy.lock",
        network=NetworkSettings(proxy="", timeout_s=30.0),
        reports=ReportSettings(url, **reports),  # type: ignore[arg-type]
    )


class ReportingDevice:
    """A device whose clocks a test sets."""

    def __init__(self, folder: Path, url: str = "", **reports: float) -> None:
        self.configuration = configured(folder, url, **reports)
        self.wall, self.uptime_s, self.boot = MADE_AT, 1000.0, "first"
        self.elapsed_s: list[float] = []
        """The passed times that a sending sees, one after the other; then 0."""

    @property
    def state(self) -> Path:
        return self.configuration.state

    @property
    def reports(self) -> DeviceReports:
        return DeviceReports(self.configuration, now=lambda: self.wall, moment=self._moment, clock=self._clock)

    @property
    def waiting(self) -> list[int]:
        return [each.number for each in self.reports.spool.waiting()]

    def name(self, number: int) -> str:
        """Return where a report lies in a drop box."""
        return f"{self.reports.key().device}/{number:012d}.json"

    def _moment(self) -> Moment:
        return Moment(self.boot, self.uptime_s, self.wall.timestamp())

    def _clock(self) -> float:
        return self.elapsed_s.pop(0) if self.elapsed_s else 0.0

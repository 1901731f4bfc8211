"""The reports of a device from its key to the drop box: made, kept, sent, carried and looked at.

Everything that may fail here is a ReportError, an UpdateError or an OSError; `after_update` turns all of them into log
lines, since no update may fail or wait because of a report.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from edge_runtime.configuration import ReportSettings, UpdateConfiguration
from edge_runtime.errors import BadConfiguration, EdgewrightError, ReportError
from edge_runtime.files import make_directories
from edge_runtime.reports.device_key import DEVICE_KEY, DeviceKey, PublicDeviceKey
from edge_runtime.reports.field_report import REPORT_TYPE
from edge_runtime.reports.folder_box import FolderBox
from edge_runtime.reports.report_making import models_in_field, signed_report
from edge_runtime.reports.report_spool import SPOOL, ReportSpool, SpooledReport
from edge_runtime.reports.signed_report import verified
from edge_runtime.statistics import ServedFile
from edge_runtime.update import DailyTraffic, HeldBack, HttpSender, Moment, Politeness, Rejected, exclusive

BUDGET_S = 60.0
"""Seconds after which no other report is begun with behind an update; the others wait for the next one."""
MOST_REJECTED = 3
"""Reports in a row that a box may reject before the others are kept for a later time."""
_EARLY = 0.9  # of the interval: a timer that comes a little early makes a report too
_log = logging.getLogger("edgewright")


class DropBox(Protocol):
    """A place that takes reports: a server or a folder."""

    def put(self, path: str, data: bytes, media_type: str) -> None:
        """Put a file; return once it is there for good. Raises Rejected, Unreachable or HeldBack."""

    def close(self) -> None:
        """End the connection."""


@dataclass(frozen=True)
class Sending:
    """Reports that arrived, that were not taken, and that still wait."""

    sent: int
    rejected: int
    left: int


class DeviceReports:
    """Reports of the device with this configuration; its state folder has the key and the spool."""

    def __init__(
        self,
        configuration: UpdateConfiguration,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        moment: Callable[[], Moment] = Moment.now,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._configuration, self._now, self._moment, self._clock = configuration, now, moment, clock
        self._settings = configuration.reports or ReportSettings()
        self.spool = ReportSpool(configuration.state / SPOOL, self._settings.keep)

    def key(self) -> PublicDeviceKey:
        """Return the public half of the device's key, which is made where there is none."""
        make_directories(self._configuration.state)
        with self.spool.alone():
            return self._key().public

    def make(self) -> int:
        """Make a report, and keep it in the spool; return its number."""
        with self.spool.alone():
            return self._make()

    def send(self, *, again: bool = False, budget_s: float | None = None) -> Sending:
        """Put the reports that wait into the drop box of the configuration, the oldest first.

        With `again` those that it did not take before are tried too. Raises Unreachable or HeldBack where the others
        have to wait, and BadConfiguration where there is no drop box.
        """
        if not self._settings.url:
            raise BadConfiguration(
                "reports.url: expected a server or a folder that takes reports, got none; add it, or use `reports "
                "carry`."
            )
        with self.spool.alone():
            return self._put_all(self._box(), again=again, budget_s=budget_s)

    def carry(self, folder: Path) -> Sending:
        """Write the reports that wait into a folder, which a person carries on. Raises Unreachable."""
        if not self.spool.waiting(refused=True):
            return Sending(0, 0, 0)
        with self.spool.alone():
            return self._put_all(FolderBox(folder), again=True, budget_s=None)

    def status_lines(self) -> Iterator[str]:
        """Yield what people ask: who the device is, and which reports wait."""
        key = DeviceKey.read(self._configuration.state, self._configuration.device)
        yield "device: no key yet" if key is None else f"device: {key.public.fingerprint}"
        waiting = self.spool.waiting(refused=True)
        refused = [each for each in waiting if each.refused]
        yield f"reports: {self.spool.last_number()} made, {len(waiting) - len(refused)} wait"
        if refused:
            numbers = ", ".join(str(each.number) for each in refused[:10])
            yield f"reports: {len(refused)} were not taken, such as {numbers}: see the log, then `reports send --again`"
        if self._configuration.reports is None:
            yield "reports: none are made; add the table [reports] to the configuration"
        else:
            yield f"reports: go to {self._settings.url or 'nobody; use `reports carry`'}"

    def after_update(self) -> None:
        """Make a report where one is due, and send what waits, within BUDGET_S; whatever fails is logged."""
        if self._configuration.reports is not None:
            self._guarded(self._make_if_due)
            self._guarded(self._send_waiting)

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except HeldBack as error:
            _log.info("reports: %s", error)
        except Exception as error:
            known = isinstance(error, EdgewrightError | OSError | MemoryError)
            _log.warning("reports: %s", str(error) or type(error).__name__, exc_info=None if known else error)

    def _make_if_due(self) -> None:
        with self.spool.alone(wait_s=0.0):
            if self._is_due():
                self._make()

    def _send_waiting(self) -> None:
        if self._settings.url and self.spool.waiting():
            self.send(budget_s=BUDGET_S)

    def _key(self) -> DeviceKey:
        state, profile = self._configuration.state, self._configuration.device
        key = DeviceKey.read(state, profile)
        if key is not None:
            return key
        self.spool.begin()
        return DeviceKey.make(state, profile)

    def _key_of_waiting(self) -> DeviceKey:
        """Return the key that signed the reports which wait. Raises ReportError where it is gone.

        None is made here: it would not be that key, and `carry` may run as root, whose files keep the service out.
        """
        state, profile = self._configuration.state, self._configuration.device
        key = DeviceKey.read(state, profile)
        if key is None:
            raise ReportError(
                f"{state / DEVICE_KEY}: expected the private key of this device, which signed the reports that wait, "
                "got none; restore it, or remove the folder of reports, run `reports key` and enrol the device again."
            )
        return key

    def _make(self) -> int:
        """Make a report; the figures of a process that has ended are told once, and then removed."""
        key = self._key()
        self.spool.clean()
        served = ServedFile(self._configuration.state)
        record = served.read()
        ended = record is not None and self._has_ended(served)
        try:
            models = models_in_field(self._configuration, record, at_work=not ended)
            number = self.spool.add(
                lambda number: signed_report(self._configuration, key, number, models, self._now()),
                asdict(self._moment()),
            )
            if ended:
                with suppress(OSError):
                    served.remove()
            return number
        finally:
            served.let_go()

    def _has_ended(self, served: ServedFile) -> bool:
        try:
            return served.hold()
        except OSError as error:
            _log.warning("Whether a process still serves is not known: %s", error)
            return True

    def _is_due(self) -> bool:
        """Tell whether a report is due: after the interval, and after each boot, as no clock is trusted across it."""
        try:
            last = Moment(**self.spool.last_note())
            now = self._moment()
            return now.boot != last.boot or now.since(last) >= _EARLY * self._settings.every_s
        except (TypeError, ValueError):
            return True

    def _box(self) -> DropBox:
        if self._settings.folder is not None:
            return FolderBox(self._settings.folder)
        state, network = self._configuration.state, self._configuration.network
        return HttpSender(
            self._settings.url,
            network,
            DailyTraffic(state / "traffic.json", network.bytes_per_day),  # an update beside it may miss these few bytes
            Politeness(state / "report_politeness.json"),  # of its own: no update waits because of a report
            go_on=self._go_on,
        )

    def _go_on(self) -> None:
        """Raise HeldBack where the window is closed or an application is busy, as for updates."""
        window = self._configuration.window
        if window is not None and not window.holds(datetime.now().time()):
            raise HeldBack("window", f"Reports are sent from {window}, local time.")
        with exclusive(self._configuration.busy_lock):
            pass

    def _put_all(self, box: DropBox, *, again: bool, budget_s: float | None) -> Sending:
        waiting, begun = self.spool.waiting(refused=again), self._clock()
        sent = rejected = in_a_row = 0
        try:
            if not waiting:
                return Sending(0, 0, 0)
            key = self._key_of_waiting()
            for report in waiting:
                if in_a_row >= MOST_REJECTED or (budget_s is not None and self._clock() - begun > budget_s):
                    break
                data = self._whole(report, key)
                if data is None:
                    continue
                try:
                    box.put(f"{key.public.device}/{report.number:012d}.json", data, REPORT_TYPE)
                except Rejected as error:
                    _log.error("report %d is not sent again by itself: %s", report.number, error)
                    self.spool.refuse(report)
                    rejected, in_a_row = rejected + 1, in_a_row + 1
                    continue
                self.spool.remove(report)
                sent, in_a_row = sent + 1, 0
        finally:
            box.close()
        return Sending(sent, rejected, len(self.spool.waiting()))

    def _whole(self, report: SpooledReport, key: DeviceKey) -> bytes | None:
        """Return an envelope; None where it cannot be read now, and where the disk has damaged it: then it leaves."""
        try:
            data = report.read()
            if verified(data, key.public.key).number != report.number:
                raise ReportError("it has another number than its file")
        except OSError as error:
            _log.error("report %d cannot be read, and waits: %s", report.number, error)
            return None
        except ReportError as error:
            _log.error("report %d is damaged and left out: %s", report.number, error)
            self.spool.remove(report)
            return None
        return data

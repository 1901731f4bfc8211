"""Taking reports out of a drop box: verified, each number once, told to the registry, then written down as taken."""

import fcntl
import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from edge_runtime.errors import EdgewrightError, ReportError
from edge_runtime.files import make_directories
from edge_runtime.reports import verified
from edge_runtime.statistics import TIME
from tasks.errors import DropBoxError, RecordDamaged, RegistryError, one_line
from tasks.field.drop_box import ReportBox, Waiting, name_of
from tasks.field.enrolment import EnrolledDevice, Enrolments
from tasks.field.field_figures import RUNNING, figures_of
from tasks.field.taken_reports import LastReport, TakenReport, missing_ranges
from tasks.registry import FieldCount, FieldRecords, FieldRelease

logger = logging.getLogger("edgewright")
MOST_TOLD = 20
"""Sentences of one kind about one device; of more, their number is told."""
_LOCK = ".ingest.lock"


@dataclass
class Ingested:
    """The end of one run: numbers of reports that were taken, by the names of devices, and sentences for people.

    `refused` has a sentence for each report that is not trusted, `failed` one for each device whose box or record could
    not be read, and `notes` what is good to know and no fault.
    """

    taken: dict[str, int] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def ingest_box(box: ReportBox, enrolments: Enrolments, records: FieldRecords) -> Ingested:
    """Take what is new in a box of every enrolled device, and count on each release's page what runs in the field.

    Safe to repeat after a kill at any moment, and beside another such run, which it waits for. What goes wrong with one
    device keeps no other waiting. Raises RegistryUnavailable; what was taken before stays taken.
    """
    ingested = Ingested()
    with _one_at_a_time(enrolments):
        devices = enrolments.every()
        for device in devices:
            try:
                _take(device, box, enrolments, records, ingested)
            except (DropBoxError, RecordDamaged, OSError) as error:
                ingested.failed.append(f"{device.name}: {_said(error)}")
        counts = _counted(devices, enrolments, ingested)
        for release in records.count(counts):
            ingested.notes.append(
                f"{release.model} release {release.release} for {release.profile}: reported by "
                f"{counts[release].devices:,}, and the registry does not know it"
            )
        if strangers := box.strangers({device.device for device in devices}):
            ingested.notes.append(
                f"folders of keys that nobody enrolled, not looked into: {strangers:,}; edgewright devices enrol NAME "
                "KEY_FILE"
            )
    return ingested


def _take(
    device: EnrolledDevice, box: ReportBox, enrolments: Enrolments, records: FieldRecords, ingested: Ingested
) -> None:
    """Take the new reports of one device; compare those that were taken before with what is in the box now."""
    record = enrolments.record(device)
    taken = record.read()
    waiting = box.waiting(device.device, taken, record.after)
    refused, newly = [], dict[int, TakenReport]()
    try:
        for number in waiting.new:
            try:
                line = _take_one(device, box, number, enrolments, records)
            except (DropBoxError, ReportError, RegistryError) as error:
                refused.append(f"{name_of(number)}: {_said(error)}")
                continue
            if line is not None:
                newly[number] = line
    finally:
        ingested.taken[device.name] = len(newly)
    for number in waiting.known:
        if (why := _changed(device, box, taken[number])) is not None:
            refused.append(f"{name_of(number)}: {why}")
    record.go_on_after(waiting.new[-1] if waiting.left else 0)
    ingested.refused += _shortened(device.name, refused)
    ingested.notes += _shortened(device.name, _notes(waiting, taken | newly, newly))


def _take_one(
    device: EnrolledDevice, box: ReportBox, number: int, enrolments: Enrolments, records: FieldRecords
) -> TakenReport | None:
    """Take one report: the registry first, where writing again changes nothing, and the line that it is taken last.

    Returns None where somebody cleared the box in between.
    """
    envelope = box.read(device.device, number)
    if envelope is None:
        return None
    report = verified(envelope, device.key)
    if report.number != number:
        raise DropBoxError(f"expected the report {number:,}, got {report.number:,} in it; somebody renamed the file")
    now = datetime.now(UTC).strftime(TIME)
    records.write(device.device, device.name, figures_of(report, device.name, now))
    record = enrolments.record(device)
    record.keep_last(LastReport(number, now, envelope.decode()))
    line = TakenReport(number, hashlib.sha256(envelope).hexdigest(), report.made_at, now)
    record.add(line)
    return line


def _changed(device: EnrolledDevice, box: ReportBox, taken: TakenReport) -> str | None:
    """Return why a report in the box is not the one that was taken under its number; None where it is, or is gone."""
    try:
        envelope = box.read(device.device, taken.number)
    except DropBoxError as error:
        return _said(error)
    if envelope is None or hashlib.sha256(envelope).hexdigest() == taken.sha256:
        return None
    return f"expected the report that was taken on {taken.taken_at}, got other bytes under its number; not taken"


def _notes(waiting: Waiting, taken: Mapping[int, object], newly: Mapping[int, object]) -> list[str]:
    """Return what is good to know of one device's folder."""
    gaps = [f"{low:,}" if low == high else f"{low:,} to {high:,}" for low, high in missing_ranges(taken, newly)]
    notes = [f"report {gap} never came: the device dropped it when its spool was full, or it is late" for gap in gaps]
    if waiting.left:
        notes.append(f"further reports for the next run: {waiting.left:,}")
    if waiting.strange:
        notes.append(f"files that are not named as reports, not opened: {waiting.strange:,}")
    if not waiting.is_whole:
        notes.append("its folder has more files than a run looks at; remove those that were taken")
    return notes


def _shortened(name: str, sentences: Sequence[str]) -> list[str]:
    """Return sentences about a device, with its name, and with the number of those that are too many."""
    told = [f"{name}: {sentence}" for sentence in sentences[:MOST_TOLD]]
    more = len(sentences) - MOST_TOLD
    return [*told, f"{name}: and {more:,} more like these"] if more > 0 else told


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, EdgewrightError) else one_line(error)


def _counted(
    devices: Sequence[EnrolledDevice], enrolments: Enrolments, ingested: Ingested
) -> dict[FieldRelease, FieldCount]:
    """Return on how many devices each release runs, by the last report of each."""
    counts: dict[FieldRelease, FieldCount] = {}
    for device in devices:
        try:
            heard = enrolments.heard(device)
        except (RecordDamaged, ReportError, OSError) as error:
            sentence = f"{device.name}: {_said(error)}"
            ingested.failed += [] if sentence in ingested.failed else [sentence]
            continue
        if heard is None:
            continue
        for model in heard.report.models:
            if model.health in RUNNING and model.release:
                release = FieldRelease(model.model, heard.report.profile, model.release)
                before = counts.get(release, FieldCount(0, ""))
                counts[release] = FieldCount(before.devices + 1, max(before.heard, heard.taken_at))
    return counts


@contextmanager
def _one_at_a_time(enrolments: Enrolments) -> Iterator[None]:
    """Hold the lock of ingests; the kernel frees it at a kill."""
    make_directories(enrolments.folder)
    with (enrolments.folder / _LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.info("another process ingests; waiting for it to end")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield

"""Expiry: how long each kind of metadata counts, when it is signed again, and when people are told.

A device refuses metadata that has expired, so that nobody can keep it at an old state for ever. The same rule stops a
whole fleet where nobody signs again: what a machine can sign again is renewed at half of its time, and what needs a
person is told months before.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import Field

from deployments.yaml_file import Frozen, read_yaml
from tasks.errors import KeysError

FILE = "expiry.yaml"


class ExpiryPeriods(Frozen):
    """Days that metadata counts from its signature. A file `expiry.yaml` beside the worker's keys changes them."""

    root: int = Field(default=365, ge=1, le=3650)
    """Root: persons meet once a year to sign it again, which also shows that their keys still work."""
    targets: int = Field(default=365, ge=1, le=3650)
    """Targets, which names the key of each device profile: signed by persons, so as seldom as the root."""
    device: int = Field(default=90, ge=1, le=3650)
    """The role of a device profile: signed by the worker. It outlives a quarter in which nothing is published."""
    snapshot: int = Field(default=14, ge=1, le=3650)
    """Snapshot: signed by the worker. Devices see a mix of old and new metadata for at most so long."""
    timestamp: int = Field(default=7, ge=1, le=3650)
    """Timestamp: signed by the worker each day. Devices notice within so many days that they are kept from news, and a
    worker may be away as long. Where folders are carried to devices, it must outlive the way there."""
    warn: int = Field(default=60, ge=1, le=3650)
    """Days before the end of root or targets from which people are told."""

    def of(self, role: str) -> timedelta:
        """Return the time that a role's metadata counts; any other name than those of TUF is a device's role."""
        return timedelta(days=getattr(self, role) if role in TOP_LEVEL else self.device)

    def end(self, role: str, now: datetime) -> datetime:
        """Return the end of metadata that is signed now, in whole seconds, as TUF writes it."""
        return (now + self.of(role)).replace(microsecond=0)

    def is_due(self, role: str, expires: datetime, now: datetime) -> bool:
        """Tell whether half of the time is over, when a machine signs again."""
        return expires - now < self.of(role) / 2

    def is_late(self, role: str, expires: datetime, now: datetime) -> bool:
        """Tell whether people must look: root and targets near their end, or what a machine should have signed."""
        by_persons = role in BY_PERSONS
        return expires - now < (min(timedelta(days=self.warn), self.of(role) / 2) if by_persons else self.of(role) / 3)


TOP_LEVEL = frozenset({"root", "targets", "snapshot", "timestamp"})
BY_PERSONS = frozenset({"root", "targets"})
"""Roles whose keys are held by persons and not by a machine."""


@dataclass(frozen=True)
class Expiry:
    """The end of one role's metadata; `needs` says what a person must do about it, empty where nothing is needed."""

    role: str
    version: int
    expires: datetime
    keys: tuple[str, ...]
    threshold: int
    needs: str = ""

    def days_left(self, now: datetime) -> float:
        """Return the days until then, below 0 once it has expired."""
        return (self.expires - now) / timedelta(days=1)


def read_periods(folder: Path) -> ExpiryPeriods:
    """Return the periods that the file `expiry.yaml` of a folder sets, or the defaults. Raises KeysError."""
    path = folder / FILE
    periods = read_yaml(path, ExpiryPeriods) if path.exists() else ExpiryPeriods()
    if periods.snapshot < 2 * periods.timestamp:
        raise KeysError(
            f"{path}: expected that a snapshot counts at least twice as long as a timestamp, got {periods.snapshot} "
            f"and {periods.timestamp} days; a timestamp must not outlive the snapshot that it names: set `snapshot` "
            "higher"
        )
    return periods


def utc_now() -> datetime:
    """Return the time in UTC."""
    return datetime.now(UTC)

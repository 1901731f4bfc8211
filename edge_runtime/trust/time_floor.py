"""The floor of time: the latest `signed_at` of a verified timestamp, for devices whose clock is wrong or stands still.

It is at least the time at which the newest root was signed: a new device whose clock stands at 1970 takes nothing that
had expired by then. The floor is kept as the signed timestamp itself, so that it holds only while the root trusts the
keys that signed it. A floor that a stolen key has set falls when that key is revoked, as the versions in TUF's metadata
do.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from tuf.api.metadata import Root, Timestamp

from edge_runtime.trust.signed_files import read_signed

SIGNED_AT = "signed_at"
"""Field in the signed part of a timestamp or a root: UTC in whole seconds, such as `2026-11-27T14:00:00Z`."""
_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class TimeFloor:
    """A time that is past for certain, and the signed timestamp that says so."""

    time: datetime
    stamp: bytes


def latest_floor(stamps: list[bytes | None], root: Root) -> TimeFloor | None:
    """Return the latest floor among timestamps; those that the root does not trust or that say no time are left out."""
    floors = [floor for stamp in stamps if stamp and (floor := _floor(stamp, root))]
    return max(floors, key=lambda floor: floor.time, default=None)


def least_time(floor: TimeFloor | None, root: Root) -> datetime | None:
    """Return the time that is past by a floor and by the newest root; None where neither says one."""
    times = [time for time in (floor.time if floor else None, signed_at(root)) if time]
    return max(times, default=None)


def signed_at(signed: Root | Timestamp) -> datetime | None:
    """Return when a file says that it was signed; None where it says nothing that can be read as a time."""
    try:
        said = datetime.strptime(signed.unrecognized_fields[SIGNED_AT], _FORMAT)
    except (KeyError, TypeError, ValueError):
        return None
    return said.replace(tzinfo=UTC)


def time_text(moment: datetime) -> str:
    """Return a moment as the field holds it."""
    return moment.astimezone(UTC).strftime(_FORMAT)


def _floor(stamp: bytes, root: Root) -> TimeFloor | None:
    timestamp = read_signed(Timestamp, stamp, root)
    time = signed_at(timestamp) if timestamp else None
    return TimeFloor(time, stamp) if time else None

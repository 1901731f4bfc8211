"""The form of an export: what turns a carried release into the one folder or file that a carrier takes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tasks.delivery.export.carried_release import CarriedRelease


@dataclass(frozen=True)
class FormOptions:
    """All that a person may say about a form; a kind refuses what it does not know.

    `device_types` are those of an OTA, `name` is that of its artifact.
    """

    device_types: tuple[str, ...] = ()
    name: str | None = None


class ExportForm(Protocol):
    """A form, such as a folder or an artifact of an OTA."""

    def check(self) -> None:
        """Raise SystemFailure, before anything is fetched, where a program that it needs is not here."""

    def make(self, release: CarriedRelease, scratch: Path) -> Path:
        """Make the folder or file below `scratch`, synced and verified, and return its path.

        The release's folder lies there too, and may be what is returned. Raises SystemFailure.
        """

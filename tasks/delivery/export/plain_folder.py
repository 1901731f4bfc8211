"""A plain folder, for a stick, an air gap, a web server, or any carrier that brings files as they are."""

from dataclasses import dataclass
from pathlib import Path

from tasks.delivery.export.carried_release import CarriedRelease
from tasks.delivery.export.export_form import FormOptions
from tasks.errors import PublishError


@dataclass(frozen=True)
class PlainFolder:
    """The carried release as it is."""

    @classmethod
    def of(cls, options: FormOptions) -> "PlainFolder":
        """Return the form. Raises PublishError for options of another one."""
        if options != FormOptions():
            raise PublishError(
                "--to dir: expected neither --device-type nor --artifact-name, got one; leave it out, as it is of "
                "--to mender"
            )
        return cls()

    def check(self) -> None:
        """Do nothing: it needs no program."""

    def make(self, release: CarriedRelease, scratch: Path) -> Path:  # noqa: ARG002 - the release lies there already
        """Return the folder of the release."""
        return release.folder

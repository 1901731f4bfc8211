"""An artifact of Mender, made by its own program; the payload is one tar of the carried release.

The device has the update module `edgewright`, which `python -m edge_runtime setup mender` puts there. Mender's own
signature may be added to the artifact with `mender-artifact sign`. It is no substitute for the metadata in the payload.
"""

import os
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.device import MENDER_MODULE, MENDER_PAYLOAD
from tasks.delivery.export.carried_release import CarriedRelease
from tasks.delivery.export.export_form import FormOptions
from tasks.errors import PublishError, SystemFailure

PROGRAM = "mender-artifact"
_LONGEST_S = 3600
_SHOWN = 500


@dataclass(frozen=True)
class MenderArtifact:
    """An artifact for some device types of Mender; without a name, one of model, device and release."""

    device_types: tuple[str, ...]
    name: str | None = None

    @classmethod
    def of(cls, options: FormOptions) -> "MenderArtifact":
        """Return the form. Raises PublishError without a device type."""
        if not options.device_types:
            raise PublishError(
                "--to mender: expected --device-type with the type that Mender knows the devices by, got none; each "
                "device has it in /var/lib/mender/device_type"
            )
        return cls(options.device_types, options.name)

    def check(self) -> None:
        """Raise SystemFailure where the program is not here."""
        if shutil.which(PROGRAM) is None:
            raise SystemFailure(
                f"{PROGRAM}: expected this program of Mender, got none; apt-get install {PROGRAM}, and run again"
            )

    def make(self, release: CarriedRelease, scratch: Path) -> Path:
        """Write the payload, have the program write the artifact and validate it, and sync it."""
        payload, artifact = scratch / MENDER_PAYLOAD.name, scratch / "artifact.mender"
        _write_tar(release, payload)
        manifest = release.bundle.manifest
        number = manifest.release or release.bundle.digest[:12]
        _call(
            "write", "module-image", "--type", MENDER_MODULE,
            "--artifact-name", self.name or f"{manifest.model}-{manifest.device}-{number}",
            *(word for each in self.device_types for word in ("--device-type", each)),
            "--software-filesystem", MENDER_MODULE, "--software-name", manifest.model, "--software-version", number,
            "--file", str(payload), "--output-path", str(artifact),
        )  # fmt: skip
        _call("validate", str(artifact))
        with artifact.open("rb") as file:
            os.fsync(file.fileno())
        return artifact


def _write_tar(release: CarriedRelease, path: Path) -> None:
    """Write the files of a release into a tar archive; the same release has the same bytes."""
    with tarfile.open(path, "w") as archive:
        for file in release.files():
            entry = tarfile.TarInfo(str(file.relative_to(release.folder)))
            entry.size, entry.mode = file.stat().st_size, 0o444
            with file.open("rb") as content:
                archive.addfile(entry, content)


def _call(*words: str) -> None:
    try:
        ended = subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=_LONGEST_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SystemFailure(f"{PROGRAM} {words[0]}: expected it to run, got {error}; run again") from error
    if ended.returncode != 0:
        said = " ".join((ended.stderr or ended.stdout).split())[-_SHOWN:]
        raise SystemFailure(
            f"{PROGRAM} {words[0]}: expected an artifact, got exit code {ended.returncode}: {said}; see its version "
            "and the disk"
        )

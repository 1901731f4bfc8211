"""Files for the device's own services: systemd's units, and the update module of Mender.

They are written with the paths of this Python, of the configuration and of the folders that it names. No path with
characters that systemd or a shell would read as something else is taken.
"""

import os
import re
import sys
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from edge_runtime.configuration import UpdateConfiguration
from edge_runtime.errors import InstallError
from edge_runtime.files import make_directories, write_atomic
from edge_runtime.statistics import SERVED

USER = "edgewright"
UNITS = (
    "edgewright-update.service",
    "edgewright-update.timer",
    "edgewright-update-forever.service",
    "edgewright-serve.service",
)
_PLACES: Mapping[str, Mapping[str, str]] = {
    "systemd": {
        **{unit: f"etc/systemd/system/{unit}" for unit in UNITS},
        "sysusers.conf": "etc/sysusers.d/edgewright.conf",
        "tmpfiles.conf": "etc/tmpfiles.d/edgewright.conf",
    },
    "mender": {"mender-module.sh": "usr/share/mender/modules/v3/edgewright"},
}
_NEXT: Mapping[str, tuple[str, ...]] = {
    "systemd": (
        "systemd-sysusers edgewright.conf",
        "systemd-tmpfiles --create edgewright.conf",
        "systemctl daemon-reload",
        "systemctl enable --now edgewright-update.timer",
    ),
    "mender": (),
}
_OF_OTHERS = frozenset(
    map(Path, ("/", "/dev/shm", "/etc", "/run", "/run/lock", "/tmp", "/usr", "/var", "/var/lib", "/var/lock",
               "/var/run", "/var/tmp"))
)  # fmt: skip
"""Folders that programs share: whoever owns one of them owns what the others need."""
_PLAIN = re.compile(r"/[A-Za-z0-9/._+-]*")
_PROGRAM = 0o755


def write_host_files(kind: str, configuration: UpdateConfiguration, config: Path, root: Path) -> list[Path]:
    """Write the files of a kind below a root, which is / on the device itself, and return their paths.

    Raises InstallError for a path that cannot stand in them, and OSError where they cannot be written.
    """
    words = _words(configuration, config)
    written = []
    for name, place in _PLACES[kind].items():
        path = root / place
        make_directories(path.parent)
        write_atomic(path, _filled(_template(name), words).encode())
        if path.suffix == "":
            path.chmod(_PROGRAM)
        written.append(path)
    return written


def next_commands(kind: str) -> tuple[str, ...]:
    """Return the commands that root types afterwards, on the device."""
    return _NEXT[kind]


def _words(configuration: UpdateConfiguration, config: Path) -> dict[str, str]:
    state, locks = configuration.state, configuration.busy_lock.parent
    for key, folder in (("state", state), ("lock.file", locks)):
        _check_own(key, folder)
    served = state / SERVED
    folders = [f"d {folder} 0755 {USER} {USER} -" for folder in (state, served)] + [f"Z {state} - {USER} {USER} -"]
    if not locks.is_relative_to(state):
        folders.append(f"d {locks} 0755 {USER} {USER} -")
    paths = dict.fromkeys((state, locks) if not locks.is_relative_to(state) else (state,))
    words = {
        "PYTHON": _plain(Path(sys.executable)),
        "CONFIG": _plain(config.absolute()),
        "STATE": _plain(state),
        "WRITTEN": " ".join(map(_plain, paths)),
        "FOLDERS": "\n".join(folders),
    }
    return {**words, "COMMON": _filled(_template("common.conf"), words)}


def _template(name: str) -> str:
    return (resources.files("edge_runtime.device") / "host" / name).read_text(encoding="utf-8").rstrip() + "\n"


def _filled(text: str, words: Mapping[str, str]) -> str:
    for word, said in words.items():
        text = text.replace(f"@{word}@", said.rstrip())
    return text


def _check_own(key: str, folder: Path) -> None:
    """Raise InstallError for a folder that other programs share: it would be given to the user of the service."""
    if Path(os.path.normpath(folder)) in _OF_OTHERS:
        raise InstallError(
            f"{key}: expected a folder that only Edgewright uses, as it becomes that of the user {USER}, got {folder}; "
            "name one below it"
        )


def _plain(path: Path) -> str:
    if not _PLAIN.fullmatch(str(path)):
        raise InstallError(
            f"{path}: expected an absolute path of letters, digits, dots, dashes, underscores and plus signs, got "
            "another; move it to such a path, as it stands in units of systemd and in a shell script"
        )
    return str(path)

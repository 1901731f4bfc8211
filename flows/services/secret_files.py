"""Secrets that are made once and kept in files that only their owner can read."""

import base64
import os
import secrets
import stat
from pathlib import Path

from deployments.errors import ConfigurationError
from edge_runtime.files import fsync_directory
from flows.services.table import Secret, Service


def make_secret(folder: Path, secret: Secret) -> Path:
    """Return the file of a secret, made at the first call with 32 random bytes.

    The folder has mode 700 and the file 600 from the moment when they appear. A kill leaves a whole secret or none.
    Raises ConfigurationError for a file or folder that others can read.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check(folder, 0o700)
    path = folder / secret.name
    if not path.is_symlink() and not path.exists():
        _write_once(path, base64.urlsafe_b64encode(os.urandom(32)))  # the form of a Fernet key, which one of them is
    read_secret(path)
    return path


def make_environment_file(folder: Path, service: Service) -> Path:
    """Return a file NAME.env that sets the variables of a service's secrets, made once and for its owner alone."""
    path = folder / f"{service.name}.env"
    values = {secret.variable: read_secret(make_secret(folder, secret)) for secret in service.secrets}
    if not path.exists():
        _write_once(path, "".join(f"{name}={value}\n" for name, value in values.items()).encode())
    read_secret(path)
    return path


def read_secret(path: Path) -> str:
    """Return a secret. Raises ConfigurationError for a file that others can read, a link, and an empty file."""
    _check(path, 0o600)
    text = path.read_text().strip()
    if not text:
        raise ConfigurationError(f"{path}: expected a secret, got an empty file; remove it, and a new one is made")
    return text


def _write_once(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(temporary)
    except FileExistsError:
        return  # another process made it in between
    finally:
        temporary.unlink(missing_ok=True)
    fsync_directory(path.parent)


def _check(path: Path, mode: int) -> None:
    found = path.lstat()
    kind = stat.S_ISDIR if mode & 0o100 else stat.S_ISREG
    if not kind(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise ConfigurationError(
            f"{path}: expected that only its owner, who runs this, can read it, got mode "
            f"{stat.S_IMODE(found.st_mode):o}, another owner or a link; see who read it, then chmod {mode:o} {path}"
        )

"""Private keys as files: ed25519 in PEM, encrypted, readable by their owner alone, named by role and key id.

A passphrase comes from a variable, from a file that only its owner can read, or from the person at the terminal. It is
never an argument, which other users of the machine could see.
"""

import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from securesystemslib.signer import CryptoSigner, Key, Signer

from edge_runtime.files import fsync_directory, open_regular
from tasks.errors import KeysError
from tasks.repository.signing import short

PASSPHRASE = "EDGEWRIGHT_KEYS_PASSPHRASE"
OFFLINE_PASSPHRASE = "EDGEWRIGHT_OFFLINE_KEYS_PASSPHRASE"
_FILE = "_FILE"
SHORTEST = 12
"""Characters of a new passphrase: the key file's own protection against guessing, 2048 rounds of PBKDF2, is slight."""
_LARGEST = 10_000
_NAMED = re.compile(r"(?P<role>[a-z0-9-]+)-(?P<id>[0-9a-f]{12})\.pem")


class Ask(Protocol):
    """A person at the terminal."""

    def __call__(self, prompt: str, *, twice: bool) -> str:
        """Return what the person types, unseen; `twice` for a new passphrase."""


@dataclass
class Passphrases:
    """The passphrases of private keys. Without anybody to ask, they come from the environment alone.

    Keys of persons have a variable of their own, so that the worker's passphrase opens none of them.
    """

    ask: Ask | None = None
    _typed: dict[str, bytes] = field(default_factory=dict)

    def of_worker(self, *, new: bool = False) -> bytes:
        """Return the passphrase of the keys of a machine that publishes. Raises KeysError where there is none."""
        given = _from_environment(PASSPHRASE)
        return _strong(given or self._asked("the worker's keys", PASSPHRASE, new), new)

    def of_person(self, place: Path, *, new: bool = False) -> bytes:
        """Return the passphrase of a key that a person holds. Raises KeysError where there is none."""
        given = _from_environment(OFFLINE_PASSPHRASE) or (_from_environment(PASSPHRASE) if self.ask is None else None)
        return _strong(given or self._asked(f"the keys in {place}", OFFLINE_PASSPHRASE, new), new)

    def _asked(self, whose: str, variable: str, new: bool) -> bytes:
        if whose not in self._typed:
            typed = "" if self.ask is None else self.ask(f"Passphrase of {whose}", twice=new)
            if not typed:
                raise KeysError(
                    f"{whose}: expected a passphrase, got none; set {variable}, name a file in {variable}{_FILE}, or "
                    "type one"
                )
            self._typed[whose] = typed.encode()
        return self._typed[whose]


@dataclass(frozen=True)
class KeyFiles:
    """The key files in some places, each a file or a folder with files in it; those of `persons` are kept offline."""

    places: Sequence[Path]
    passphrases: Passphrases
    persons: bool = False

    def __call__(self, role: str, keys: Mapping[str, Key]) -> list[Signer]:
        """Return a signer for each of these keys that is here."""
        by_id = {_id_of(path): path for path in self.paths()}
        found = [(key, by_id[short(keyid)]) for keyid, key in keys.items() if short(keyid) in by_id]
        return [self._signer(role, key, path) for key, path in found]

    def has(self, keyid: str) -> bool:
        """Tell whether a key is here, without opening it."""
        return any(_id_of(path) == short(keyid) for path in self.paths())

    def paths(self) -> list[Path]:
        """Return all key files, by name. Raises KeysError for a place of persons that is not there."""
        places = self.places if self.persons else [place for place in self.places if place.is_dir()]
        return sorted(path for place in places for path in _files(place))

    def of_role(self, role: str) -> list[Path]:
        """Return the files of a role's keys, those included that count no more or not yet."""
        named = ((path, _NAMED.fullmatch(path.name)) for path in self.paths())
        return [path for path, match in named if match is not None and match["role"] == role]

    def make(self, folder: Path, role: str) -> CryptoSigner:
        """Write a new key into a folder of its owner's."""
        return make_key(folder, role, self._passphrase(folder, new=True))

    def read(self, path: Path) -> CryptoSigner:
        """Open a key file. Raises KeysError."""
        return read_key(path, self._passphrase(path.parent))

    def _signer(self, role: str, key: Key, path: Path) -> Signer:
        signer = self.read(path)
        if signer.public_key.keyid != key.keyid:
            raise KeysError(
                f"{path}: expected the key {key.keyid} of {role}, got {signer.public_key.keyid}; a file is named by "
                "its key: give it its own name back"
            )
        return signer

    def _passphrase(self, place: Path, *, new: bool = False) -> bytes:
        asked = self.passphrases
        return asked.of_person(place, new=new) if self.persons else asked.of_worker(new=new)


def make_key(folder: Path, role: str, passphrase: bytes) -> CryptoSigner:
    """Write a new private key as ROLE-ID.pem; a kill leaves a whole file or none. Raises KeysError."""
    signer = CryptoSigner(key := Ed25519PrivateKey.generate())
    data = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase))
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_private(folder)
        path = folder / f"{role}-{short(signer.public_key.keyid)}.pem"
        temporary = folder / f".{path.name}.{secrets.token_hex(8)}"
        try:
            with os.fdopen(
                os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb"
            ) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.link(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        fsync_directory(folder)
    except OSError as error:
        raise KeysError(
            f"{folder}: expected a folder to write a key into, got {error.strerror}; name another"
        ) from error
    return signer


def read_key(path: Path, passphrase: bytes) -> CryptoSigner:
    """Open a private key. Raises KeysError for a file that others can read, another kind, or another passphrase."""
    check_private(path)
    data = _content(path)
    try:
        key = load_pem_private_key(data, passphrase)
    except TypeError as error:
        raise KeysError(
            f"{path}: expected a key that is encrypted, got one that is not; make a new one, and revoke this"
        ) from error
    except ValueError as error:
        raise KeysError(
            f"{path}: expected a private key in PEM and its passphrase, got another file or passphrase; try again"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeysError(f"{path}: expected an ed25519 key, got another kind; make one with edgewright keys")
    return CryptoSigner(key)


def check_private(path: Path) -> None:
    """Raise KeysError for a file or folder that others than its owner, who runs this, may read; a link is none."""
    try:
        found = path.lstat()
    except OSError as error:
        raise KeysError(f"{path}: expected a key or a folder of keys, got {error.strerror}; check the path") from error
    is_right = stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode)
    if not is_right or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        mode = "700" if stat.S_ISDIR(found.st_mode) else "600"
        raise KeysError(
            f"{path}: expected that only its owner, who runs this, can read it, got mode "
            f"{stat.S_IMODE(found.st_mode):o}, another owner or a link; chmod {mode} {path}, and revoke the keys if "
            "others may have read them"
        )


def _files(place: Path) -> Iterator[Path]:
    """Yield the key files of a place: itself, or those in a folder and in folders below it."""
    if not os.path.lexists(place):
        raise KeysError(f"{place}: expected a key or a folder of keys, got nothing there; check the path")
    if not place.is_dir():
        if not _NAMED.fullmatch(place.name):
            raise KeysError(f"{place}: expected a key file by its own name, ROLE-ID.pem; give it its name back")
        yield place
        return
    check_private(place)
    yield from (path for path in place.rglob("*.pem") if not path.name.startswith("."))


def _id_of(path: Path) -> str:
    match = _NAMED.fullmatch(path.name)
    return path.name if match is None else match["id"]


def _content(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            return file.read(_LARGEST)
    except OSError as error:
        raise KeysError(f"{path}: expected a file that can be read, got {error.strerror}; check the path") from error


def _strong(passphrase: bytes, new: bool) -> bytes:
    if new and len(passphrase) < SHORTEST:
        raise KeysError(
            f"passphrase: expected at least {SHORTEST} characters for a new key, got {len(passphrase)}; take a random "
            "one, such as openssl rand -base64 24 prints"
        )
    return passphrase


def _from_environment(variable: str) -> bytes | None:
    """Return the passphrase of a variable, or of the file that it names; an empty one is none."""
    if given := os.environ.get(variable):
        return given.encode()
    if not (named := os.environ.get(f"{variable}{_FILE}")):
        return None
    check_private(Path(named))
    text = _content(Path(named)).rstrip(b"\r\n")
    if not text:
        raise KeysError(f"{named}: expected a passphrase, got an empty file; write one into it")
    return text

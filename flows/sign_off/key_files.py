"""Key files: ed25519 private keys as PEM, encrypted with a passphrase, that only their owner can read."""

import os
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from quality_gates.errors import SignOffError
from quality_gates.signatures import written_key

PASSPHRASE = "EDGEWRIGHT_KEY_PASSPHRASE"
LARGEST = 10_000
Ask = Callable[[str], str]


def make_key(path: Path, ask: Ask) -> str:
    """Write a new private key that only its owner can read; returns the public key as a recipe lists it.

    Raises SignOffError where the file is there already, cannot be written, or no passphrase is given.
    """
    phrase = _passphrase(ask, f"Passphrase for {path}")
    if not phrase:
        raise SignOffError(f"{path}: expected a passphrase for the new key, got none; type one, or set {PASSPHRASE}")
    key = Ed25519PrivateKey.generate()
    data = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(phrase))
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
    except OSError as error:
        raise SignOffError(
            f"{path}: expected a new file that can be written, got {error.strerror}; name another one"
        ) from error
    return written_key(key.public_key())


def read_key(path: Path, ask: Ask) -> Ed25519PrivateKey:
    """Read a private key; asks for the passphrase where it needs one.

    Raises SignOffError for a file that others can read, that is no ed25519 key, or that has another passphrase.
    """
    try:
        with path.open("rb") as file:
            mode, data = os.fstat(file.fileno()).st_mode, file.read(LARGEST)
    except OSError as error:
        raise SignOffError(f"{path}: expected a file with a private key, got {error.strerror}; check --key") from error
    if mode & 0o077:
        raise SignOffError(
            f"{path}: expected a key that only its owner can read, got mode {mode & 0o777:o}; chmod 600 it, and make a "
            "new key if others may have read it"
        )
    phrase = _passphrase(ask, f"Passphrase of {path}") if b"ENCRYPTED" in data else None
    try:
        key = load_pem_private_key(data, phrase)
    except (ValueError, TypeError) as error:
        raise SignOffError(
            f"{path}: expected a private key in PEM and its passphrase, got another file or passphrase; try again"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SignOffError(f"{path}: expected an ed25519 key, got another kind; make one with edgewright sign-off-key")
    return key


def _passphrase(ask: Ask, prompt: str) -> bytes:
    return (os.environ.get(PASSPHRASE) or ask(prompt)).encode()

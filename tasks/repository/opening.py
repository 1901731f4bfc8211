"""Opening of a repository: its store, the worker's keys on this machine, and their expiry periods."""

import os
from pathlib import Path

from tasks.repository.beginning import PINNED
from tasks.repository.expiry import read_periods
from tasks.repository.key_files import KeyFiles, Passphrases
from tasks.repository.objects import open_store
from tasks.repository.signed_repository import SignedRepository

KEYS = "EDGEWRIGHT_KEYS"
"""Variable with the folder of the keys that this machine publishes with."""


def keys_folder(home: Path) -> Path:
    """Return the folder of the worker's keys: EDGEWRIGHT_KEYS, or `keys` in the home."""
    named = os.environ.get(KEYS)
    return Path(named) if named else home / "keys"


def open_repository(address: str | Path, keys: Path, passphrases: Passphrases | None = None) -> SignedRepository:
    """Return the repository at an address, s3://BUCKET/PREFIX or a folder, with the worker's keys in a folder.

    Nothing is read but the folder's own files: where the repository was never begun, `is_begun` tells so. Raises
    KeysError for a wrong `expiry.yaml`.
    """
    pinned = keys / PINNED
    return SignedRepository(
        open_store(address),
        KeyFiles([keys], passphrases or Passphrases()),
        read_periods(keys),
        pinned.read_bytes() if pinned.is_file() else None,
    )

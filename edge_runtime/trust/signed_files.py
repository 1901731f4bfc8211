"""Metadata read together with its signatures: a file counts for as much as the keys that signed it."""

from functools import lru_cache

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, T, Targets


def read_signed(kind: type[T], data: bytes | None, delegator: Root | Targets, role: str | None = None) -> T | None:
    """Return the signed part of metadata that enough keys of the delegator signed; None for all else.

    Expired metadata is returned too: it still tells what has been published. `role` is needed for delegated roles.
    """
    metadata = _read(kind, data)
    if metadata is None:
        return None
    try:
        delegator.verify_delegate(role or kind.type, metadata.signed_bytes, metadata.signatures)
    except (RepositoryError, ValueError):  # a ValueError says that the role is not delegated at all
        return None
    return metadata.signed


@lru_cache(maxsize=8)  # without the package cryptography, a signature takes a slow device long
def read_root(data: bytes | None) -> Root | None:
    """Return a root that enough of its own keys signed, which says that it is undamaged; None for all else."""
    metadata = _read(Root, data)
    return read_signed(Root, data, metadata.signed) if metadata else None


def _read(kind: type[T], data: bytes | None) -> Metadata[T] | None:
    try:
        metadata = Metadata[T].from_bytes(data) if data else None
    except RepositoryError:
        return None
    return metadata if metadata and metadata.signed.type == kind.type else None
